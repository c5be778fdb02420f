import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { monotonicMs } from '#core/service/time.ts'

/** What the switch needs. */
export interface DeadmanOptions {
  /** Out of touch for so long, the machine goes off; 0: never. */
  limitMs: number
  log: Log
  /** Whether a job runs here: its container, not what remains to be said of it. */
  busy(): boolean
  /** Switches the machine off. */
  off(): Promise<void>
  /** In milliseconds; never goes back. */
  clockMs?(): number
}

/** Switches a machine off that nobody looks after any more: it would be paid for, and run strangers' code, for ever. */
export interface Deadman {
  /** The control plane has answered. */
  heard(): void
  loop: Loop
}

const MAX_LOOK_MS = 15_000

/**
 * A job that runs is waited for, though its lease may be lost: when everything is cut off, its result is still wanted. Its own
 * timeout bounds that. From the last answer, or the end of the last job, the limit holds, whatever is not reported yet.
 */
export function createDeadman({ limitMs, log, busy, off, clockMs = monotonicMs }: DeadmanOptions): Deadman {
  let quietFromMs = clockMs()
  let warned = false

  return {
    heard() {
      if (warned) log.info('the scheduler answers again: this machine stays on')
      quietFromMs = clockMs()
      warned = false
    },
    loop: createLoop({
      name: 'deadman',
      everyMs: Math.min(MAX_LOOK_MS, Math.max(50, limitMs / 10)),
      log,
      async round() {
        if (limitMs === 0) return
        if (busy()) quietFromMs = clockMs()
        const silentMs = clockMs() - quietFromMs
        if (silentMs > limitMs / 2 && !warned) {
          warned = true
          log.error({ silentMs, limitMs }, 'the scheduler does not answer; if it stays so, this machine switches itself off')
        }
        if (silentMs <= limitMs) return
        log.fatal({ silentMs, limitMs }, 'the scheduler has not answered for too long: this machine switches itself off')
        await off()
      },
    }),
  }
}
