/** A bounded queue between a producer that waits when it is full and one consumer, who can also be poked. */
export interface Mailbox<T> {
  /** Adds an item; resolves when there is room for the next, so a slow consumer slows the producer. */
  put(item: T): Promise<void>
  /** The next item; undefined after a poke, after `waitMs`, or when the signal is aborted. */
  take(waitMs: number, signal: AbortSignal): Promise<T | undefined>
  /** Makes a waiting (or the next) `take` return at once. */
  poke(): void
}

/** See the interface. */
export function createMailbox<T>(capacity: number): Mailbox<T> {
  const items: T[] = []
  let poked = false
  let notifyTaker: (() => void) | undefined
  let notifyPutters: (() => void)[] = []

  return {
    async put(item) {
      items.push(item)
      notifyTaker?.()
      if (items.length >= capacity) await new Promise<void>((resolve) => notifyPutters.push(resolve))
    },
    async take(waitMs, signal) {
      if (items.length === 0 && !poked && !signal.aborted) {
        const timer = AbortSignal.any([signal, AbortSignal.timeout(waitMs)])
        await new Promise<void>((resolve) => {
          notifyTaker = resolve
          timer.addEventListener('abort', () => resolve(), { once: true })
        })
        notifyTaker = undefined
      }
      poked = false
      const item = items.shift()
      if (items.length < capacity) {
        for (const notify of notifyPutters) notify()
        notifyPutters = []
      }
      return item
    },
    poke() {
      poked = true
      notifyTaker?.()
    },
  }
}
