import { after } from '#core/service/time.ts'

/** Lets one waiter sleep until something may have happened. */
export interface Bell {
  /** Wakes the waiter, or the next one. */
  ring(): void
  /** Resolves when the bell rings, after `ms`, or when the signal is aborted. */
  wait(ms: number, signal: AbortSignal): Promise<void>
}

/** See the interface. */
export function createBell(): Bell {
  let rung = false
  let wake: (() => void) | undefined
  return {
    ring() {
      rung = true
      wake?.()
    },
    async wait(ms, signal) {
      if (!rung && !signal.aborted) {
        const { promise, resolve } = Promise.withResolvers<void>()
        wake = resolve
        const stopTimer = after(ms, resolve)
        signal.addEventListener('abort', wake, { once: true })
        await promise
        signal.removeEventListener('abort', wake)
        stopTimer()
        wake = undefined
      }
      rung = false
    },
  }
}
