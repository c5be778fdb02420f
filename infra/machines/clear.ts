import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type Docker from 'dockerode'
import { runCommand } from '../local/command.ts'
import { clearNode } from '../local/leftovers.ts'
import { SYSTEM_PATH } from '../local/packages.ts'
import { runnerDir } from './runner.ts'

const RULE_DEADLINE_MS = 10_000

/** Takes away what the runner of a machine left on this host: containers, mounts, its network and the firewall rules of that. */
export async function clearMachine(docker: Docker | undefined, folder: string): Promise<void> {
  const dir = runnerDir(folder)
  await clearNode(dir, docker)
  if (!docker) return
  // Named after the node's bridge (node-runner/egress): rgrid-<hash>, RGRID-F-<hash> and RGRID-I-<hash>.
  for (const { Name } of await docker.listNetworks({ filters: { label: [`rgrid.dir=${dir}`] } })) {
    const hash = /^rgrid-([0-9a-f]{8})$/.exec(Name)?.[1]
    if (hash !== undefined) await clearRules(Name, hash)
    await docker
      .getNetwork(Name)
      .remove()
      .catch((error: { statusCode?: number }) => {
        if (error.statusCode !== 404) throw error
      })
  }
}

/** Takes away all machines of a folder whose runners have ended: to be stopped is to be deleted. Returns what was ended. */
export async function clearMachines(docker: Docker | undefined, dir: string): Promise<string[]> {
  const ids = existsSync(dir) ? readdirSync(dir) : []
  for (const id of ids) {
    await clearMachine(docker, join(dir, id))
    rmSync(join(dir, id), { recursive: true, force: true })
  }
  return ids.map((id) => `machine ${id}`)
}

async function clearRules(bridge: string, hash: string): Promise<void> {
  const iptables = (...args: string[]) =>
    runCommand('iptables', ['-w', ...args], {
      env: { ...process.env, PATH: SYSTEM_PATH },
      signal: new AbortController().signal,
      deadlineMs: RULE_DEADLINE_MS,
      // Each may be gone already: the runner takes them away itself when it has the time.
    }).catch(() => undefined)
  for (const [from, chain] of [
    ['DOCKER-USER', `RGRID-F-${hash}`],
    ['INPUT', `RGRID-I-${hash}`],
  ] as const) {
    await iptables('-D', from, '-i', bridge, '-j', chain)
    await iptables('-F', chain)
    await iptables('-X', chain)
  }
}
