import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { openSync } from 'node:fs'
import { join } from 'node:path'
import { sleep } from '#core/service/time.ts'

const ROOT = join(import.meta.dirname, '../..')

/** A process of the platform that can be killed, paused and started again. */
export interface Victim {
  name: string
  start(): void
  /** SIGKILL. */
  kill(): Promise<void>
  pause(): void
  resume(): void
  /** SIGTERM, and after `withinMs` SIGKILL; false when that was needed. */
  stop(withinMs: number): Promise<boolean>
  alive(): boolean
}

/** What starts it: `node <folder>/main.ts` with these variables, its log appended to a file. `prefix` begins the command. */
export function createVictim(options: { name: string; folder: string; env: Record<string, string>; logDir: string; prefix?: readonly string[] }): Victim {
  let child: ChildProcess | undefined
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('RGRID_')))
  const alive = () => child !== undefined && child.exitCode === null && child.signalCode === null

  async function end(signal: NodeJS.Signals, withinMs: number): Promise<boolean> {
    const victim = child
    if (!victim || !alive()) return true
    const exited = once(victim, 'exit').then(() => true)
    victim.kill(signal)
    if (signal !== 'SIGKILL') victim.kill('SIGCONT')
    return Promise.race([exited, sleep(withinMs).then(() => false)])
  }

  return {
    name: options.name,
    start() {
      if (alive()) return
      const log = openSync(join(options.logDir, `${options.name}.log`), 'a', 0o600)
      const [command = process.execPath, ...args] = [...(options.prefix ?? []), process.execPath, `${options.folder}/main.ts`]
      child = spawn(command, args, { cwd: ROOT, env: { ...clean, ...options.env }, stdio: ['ignore', log, log] })
    },
    kill: async () => void (await end('SIGKILL', 10_000)),
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    async stop(withinMs) {
      if (await end('SIGTERM', withinMs)) return true
      await end('SIGKILL', 10_000)
      return false
    },
    alive,
  }
}
