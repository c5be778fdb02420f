import { type ChildProcess, spawn } from 'node:child_process'
import { appendFileSync, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Docker from 'dockerode'
import { parse } from 'yaml'
import { clearMachine } from '../../../infra/machines/clear.ts'
import { runnerDir } from '../../../infra/machines/runner.ts'
import type { Booted, ServerRecord } from './world.ts'

const ROOT = join(import.meta.dirname, '../../..')
const NODE_ENV_PATH = '/etc/rgrid/node.env'

/** How machines are booted as processes. */
export interface BootProcessOptions {
  /** Each machine has its disk in a folder of this one, by its id; beside it a file with what it printed. */
  dir: string
  /** Settings that the machines of a test have besides those in their user data, such as addresses that jobs may reach. */
  env?: Record<string, string>
}

/**
 * Boots a server as a process: the node-runner itself, with the settings that its user data writes to /etc/rgrid/node.env, as many
 * slots as the type has cores, and a folder as its disk. When it is killed, its containers, mounts and network go too, as with a machine. A server whose
 * user data has no such file runs nothing.
 */
export function bootProcesses(options: BootProcessOptions): (server: ServerRecord) => Booted | undefined {
  return (server) => {
    const settings = readNodeEnv(server.userData)
    if (!settings) return undefined
    const dir = join(options.dir, String(server.id))
    mkdirSync(dir, { recursive: true, mode: 0o700 })
    const child = spawn(process.execPath, ['node-runner/main.ts'], {
      cwd: ROOT,
      env: { PATH: process.env.PATH, ...settings, ...options.env, RGRID_NODE_DIR: runnerDir(dir), RGRID_NODE_SLOTS: String(server.type.cores) },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    const log = join(options.dir, `${server.id}.log`)
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => appendFileSync(log, chunk))
    return { pid: child.pid, kill: () => void child.kill('SIGKILL'), ended: whenOver(child, dir) }
  }
}

async function whenOver(child: ChildProcess, dir: string): Promise<void> {
  await new Promise<void>((resolve) => {
    child.once('close', () => resolve())
    child.once('error', () => resolve())
  })
  await clearMachine(new Docker(), dir)
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 })
}

/** The settings that cloud-init would write for the node-runner; undefined when it would write none. */
export function readNodeEnv(userData: string): Record<string, string> | undefined {
  if (!userData.startsWith('#cloud-config\n')) return undefined
  const config = parse(userData) as { write_files?: { path: string; content: string }[] }
  const file = config.write_files?.find(({ path }) => path === NODE_ENV_PATH)
  if (!file) return undefined
  const settings: Record<string, string> = {}
  for (const line of file.content.split('\n')) {
    const pair = /^([A-Z][A-Z0-9_]*)=(?:"(.*)"|(.*))$/.exec(line.trim())
    if (pair) settings[pair[1] as string] = pair[2] ?? pair[3] ?? ''
  }
  return settings
}
