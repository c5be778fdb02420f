import { after, monotonicMs } from '#core/service/time.ts'
import type { Printer } from './print.ts'

/** So long after Ctrl-C has detached, a second one still cancels. */
const SECOND_WITHIN_MS = 1500
/** npm hands a Ctrl-C on that the terminal has sent to everyone: the same one, twice at once. */
const SAME_WITHIN_MS = 200

/** Listens for Ctrl-C while something is followed. */
export interface Interrupt {
  /** Aborted when the user has detached. */
  signal: AbortSignal
  /** To be awaited after that: resolves when no second Ctrl-C came, or what it asked for is done. */
  left(): Promise<void>
  /** Stops listening. */
  dispose(): void
}

/** What Ctrl-C means for what is followed. */
export interface InterruptOptions {
  id: string
  /** Printed when the user has detached: how to come back. */
  comeBack: string
  /** The first Ctrl-C cancels, and the end is waited for. */
  cancelFirst: boolean
  cancel(): Promise<unknown>
}

/** Ctrl-C once detaches, and twice cancels; with `cancelFirst` once cancels, and twice does not wait for the end. */
export function listenForInterrupt(print: Printer, options: InterruptOptions): Interrupt {
  const detached = new AbortController()
  const second = Promise.withResolvers<void>()
  let count = 0
  let lastMs = Number.NEGATIVE_INFINITY
  let cancelling: Promise<unknown> | undefined

  const cancel = () => {
    print.say(`cancelling ${options.id} …`)
    cancelling = options.cancel().catch((error: Error) => print.say(`rgrid: ${error.message}`))
  }
  const onInterrupt = () => {
    if (monotonicMs() - lastMs < SAME_WITHIN_MS) return
    lastMs = monotonicMs()
    count++
    if (options.cancelFirst && count === 1) return cancel()
    if (!options.cancelFirst && count === 2) {
      cancel()
      second.resolve()
    } else if (!detached.signal.aborted) {
      detached.abort()
      if (options.cancelFirst) print.say(`\nnot waiting for its end: ${options.id} is being cancelled`)
      else print.say(`\ndetached; ${options.id} goes on. ${options.comeBack}\n(Ctrl-C again cancels it)`)
    }
  }
  process.on('SIGINT', onInterrupt)
  return {
    signal: detached.signal,
    async left() {
      if (!options.cancelFirst) {
        const stop = after(SECOND_WITHIN_MS, () => second.resolve())
        await second.promise.finally(stop)
      }
      await cancelling
    },
    dispose: () => void process.off('SIGINT', onInterrupt),
  }
}
