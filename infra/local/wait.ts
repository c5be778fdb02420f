import { setTimeout as delay } from 'node:timers/promises'

/**
 * Asks `probe` every 50 ms (100, 200 … up to `maxPauseMs`) until it answers with something other than undefined and
 * returns that. Rejects after `deadlineMs` with the last reason, at once when `probe` throws a StopWaiting, and with
 * the signal's reason when it is aborted.
 */
export async function waitFor<T>(what: string, deadlineMs: number, signal: AbortSignal, probe: (signal: AbortSignal) => Promise<T | undefined>): Promise<T> {
  const maxPauseMs = 400
  const endsMs = performance.now() + deadlineMs
  let pauseMs = 50
  let reason = 'no answer'
  for (;;) {
    signal.throwIfAborted()
    try {
      const leftMs = Math.max(1, endsMs - performance.now())
      const answer = await probe(AbortSignal.any([signal, AbortSignal.timeout(Math.min(5000, Math.ceil(leftMs)))]))
      if (answer !== undefined) return answer
    } catch (error) {
      if (error instanceof StopWaiting) throw error
      reason = error instanceof Error ? error.message || error.name : String(error)
    }
    if (performance.now() >= endsMs) throw new Error(`${what} was not ready after ${Math.round(deadlineMs / 1000)} s: ${reason}`)
    await delay(pauseMs, undefined, { signal })
    pauseMs = Math.min(pauseMs * 2, maxPauseMs)
  }
}

/** Thrown by a probe that knows waiting is of no use, e.g. when the process it waits for has died. */
export class StopWaiting extends Error {}
