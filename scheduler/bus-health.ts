import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { monotonicMs, withDeadline } from '#core/service/time.ts'

const EVERY_MS = 500
/** A bus that takes longer to answer is not well; and so is this process, when its own round comes so much too late. */
const ANSWER_MS = 2000

/** Whether what this process hears, and does not hear, of the nodes means something. */
export interface BusHealth {
  /** For how long the bus has answered without a break, in milliseconds; 0 while it does not. */
  wellForMs(): number
  loop: Loop
}

/**
 * Asks the bus for an answer again and again. Silence of a node is death only where the bus was well all the time: not when
 * it was cut off (a connection may be dead for long before it breaks), nor when this process itself stood still. `clockMs` never goes back.
 */
export function createBusHealth(ask: () => Promise<void>, log: Log, clockMs: () => number = monotonicMs): BusHealth {
  let wellSinceMs: number | undefined
  let lastRoundMs = clockMs()

  function fell(why: string): void {
    if (wellSinceMs !== undefined) log.warn({ why }, 'the bus is not heard: no node is taken for lost')
    wellSinceMs = undefined
  }

  return {
    wellForMs: () => (wellSinceMs === undefined || clockMs() - lastRoundMs > ANSWER_MS + EVERY_MS * 2 ? 0 : clockMs() - wellSinceMs),
    loop: createLoop({
      name: 'bus-health',
      everyMs: EVERY_MS,
      log,
      async round() {
        if (clockMs() - lastRoundMs > ANSWER_MS + EVERY_MS * 2) fell('this process stood still')
        lastRoundMs = clockMs()
        try {
          await withDeadline('the bus', ANSWER_MS, ask)
          wellSinceMs ??= clockMs()
        } catch {
          fell('it does not answer')
        }
        lastRoundMs = clockMs()
      },
    }),
  }
}
