import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isIPv4 } from 'node:net'
import { networkInterfaces } from 'node:os'
import type Docker from 'dockerode'
import type { Allowed } from '#core/allow-list.ts'
import { CommandError, runCommand } from '../command.ts'
import { LABELS } from '../docker/options.ts'
import { type Chains, egressRules, refusedIn } from './rules.ts'

/** The network of jobs that asked for one. */
export interface Egress {
  /** Makes sure that the bridge and its rules are there, and returns the network's name. Throws when they cannot be. */
  ensure(): Promise<string>
  /** Packets that the rules refused since the start of this process, as far as they were seen. */
  refusedPackets(): Promise<number>
  /** Takes network and rules away. */
  remove(): Promise<void>
}

/** One bridge for each node on a machine, named after the node. */
export function createEgress(docker: Docker, nodeId: string, dir: string, allowed: readonly Allowed[]): Egress {
  const hash = createHash('sha256').update(nodeId).digest('hex').slice(0, 8)
  const bridge = `rgrid-${hash}`
  const chains: Chains = { forward: `RGRID-F-${hash}`, input: `RGRID-I-${hash}` }
  const jumps = [
    ['DOCKER-USER', chains.forward],
    ['INPUT', chains.input],
  ] as const
  let pending: Promise<string> | undefined

  async function make(): Promise<string> {
    await ensureBridge(docker, bridge, { [LABELS.node]: nodeId, [LABELS.dir]: dir })
    // Checked before each job, as something else on the machine may have flushed them.
    await runCommand('iptables-restore', ['-w', '-n'], egressRules(chains, allowed, nameServers(), hostAddresses()))
    seen = 0
    for (const [from, to] of jumps) {
      const jump = ['-i', bridge, '-j', to]
      const there = await runCommand('iptables', ['-w', '-C', from, ...jump]).then(
        () => true,
        () => false,
      )
      if (!there) await runCommand('iptables', ['-w', '-I', from, '1', ...jump])
    }
    return bridge
  }

  // Making the rules anew begins their counts anew: what came between the last look and that is not counted.
  let refused = 0
  let seen: number | undefined

  return {
    async refusedPackets() {
      const lists = await Promise.all(Object.values(chains).map((chain) => runCommand('iptables', ['-w', '-nvxL', chain]).catch(() => '')))
      const now = lists.reduce((sum, list) => sum + refusedIn(list), 0)
      refused += now - (seen !== undefined && now < seen ? 0 : (seen ?? now))
      seen = now
      return refused
    },
    ensure() {
      pending ??= make().finally(() => {
        pending = undefined
      })
      return pending
    },
    async remove() {
      const gone = (error: unknown) => {
        if (!(error instanceof CommandError)) throw error
      }
      for (const [from, to] of jumps) {
        await runCommand('iptables', ['-w', '-D', from, '-i', bridge, '-j', to]).catch(gone)
        await runCommand('iptables', ['-w', '-F', to]).catch(gone)
        await runCommand('iptables', ['-w', '-X', to]).catch(gone)
      }
      await docker
        .getNetwork(bridge)
        .remove()
        .catch((error: { statusCode?: number }) => {
          if (error.statusCode !== 404) throw error
        })
    },
  }
}

async function ensureBridge(docker: Docker, name: string, labels: Record<string, string>): Promise<void> {
  const found = await docker.listNetworks({ filters: { name: [name] } })
  if (found.some((network) => network.Name === name)) return
  await docker.createNetwork({
    Name: name,
    Driver: 'bridge',
    CheckDuplicate: true,
    EnableIPv6: false,
    Labels: { ...labels, 'rgrid.network': 'egress' },
    Options: { 'com.docker.network.bridge.name': name, 'com.docker.network.bridge.enable_icc': 'false' },
  })
}

function hostAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((addresses) =>
    (addresses ?? []).filter((address) => address.family === 'IPv4').map((address) => address.address),
  )
}

function nameServers(): string[] {
  const servers = [...readFileSync('/etc/resolv.conf', 'utf8').matchAll(/^nameserver\s+(\S+)/gm)].map((match) => match[1] ?? '')
  return servers.filter((server) => isIPv4(server) && !server.startsWith('127.') && !server.startsWith('169.254.'))
}
