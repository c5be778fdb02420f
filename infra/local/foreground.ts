import { setTimeout as delay } from 'node:timers/promises'
import { isLocked } from './lock.ts'
import { findProcesses } from './process-table.ts'
import { describeDeath, findDead } from './processes.ts'
import { say } from './progress.ts'
import type { Settings } from './settings.ts'
import { stop } from './stop.ts'

const LOOK_EVERY_MS = 1000

/** Waits for Ctrl-C, then stops everything. Ends too when a process dies (1), or when `stop` was called elsewhere (0). */
export async function stayInForeground(settings: Settings, interrupt: AbortSignal): Promise<number> {
  say('Ctrl-C stops everything')
  while (!interrupt.aborted) {
    const dead = findDead(settings)
    if (dead && (await stoppedElsewhere(settings))) {
      say('stopped by another command')
      return 0
    }
    if (dead) {
      say(describeDeath(settings, dead))
      await stop(settings)
      return 1
    }
    await delay(LOOK_EVERY_MS, undefined, { signal: interrupt }).catch(() => undefined)
  }
  await stop(settings)
  return 0
}

// `stop` ends one process after the other: when one is missing, the rest follows within its deadlines.
async function stoppedElsewhere(settings: Settings): Promise<boolean> {
  await delay(LOOK_EVERY_MS)
  return isLocked(settings) || findProcesses(settings.instance).length === 0
}
