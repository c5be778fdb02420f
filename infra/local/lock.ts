import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Settings } from './settings.ts'
import { readIfThere } from './state.ts'

/** Holds the instance while `work` brings it up or down, so that two commands do not work against each other. */
export async function withLock<T>(settings: Settings, work: () => Promise<T>): Promise<T> {
  const path = lockPath(settings)
  for (;;) {
    try {
      writeFileSync(path, `${process.pid}\n`, { flag: 'wx', mode: 0o600 })
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
      const owner = lockOwner(settings)
      if (owner) throw new Error(`another bring-up of this instance is at work (pid ${owner}); wait for it, or end it with: npm stop`)
      // Left behind by a command that was killed.
      rmSync(path, { force: true })
    }
  }
  try {
    return await work()
  } finally {
    rmSync(path, { force: true })
  }
}

/** Ends a bring-up that is at work, so that `stop` finds nothing half-made afterwards. */
export async function endOtherBringUp(settings: Settings, deadlineMs: number): Promise<void> {
  const endsMs = performance.now() + deadlineMs
  let signal: NodeJS.Signals = 'SIGTERM'
  for (let owner = lockOwner(settings); owner; owner = lockOwner(settings)) {
    process.kill(owner, signal)
    await delay(200)
    if (performance.now() > endsMs) signal = 'SIGKILL'
  }
}

// The pid in the lock counts only while it is a process of this very program.
function lockOwner(settings: Settings): number | undefined {
  const pid = Number(readIfThere(lockPath(settings)))
  if (!pid || pid === process.pid) return undefined
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('infra/local/main.ts') ? pid : undefined
  } catch {
    return undefined
  }
}

function lockPath(settings: Settings): string {
  return join(settings.stateDir, 'run', 'lock')
}

/** Whether another command is bringing this instance up or down. */
export function isLocked(settings: Settings): boolean {
  return lockOwner(settings) !== undefined
}
