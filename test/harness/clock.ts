/** A clock that a test moves: what waits by it goes on when it has come so far. */
export interface ManualClock {
  now(): number
  /** Moves it, from one waiting thing to the next, and lets each go on before it goes further. */
  advance(ms: number): Promise<void>
  /** Resolves when the clock was moved so far; rejects when the signal is aborted. */
  wait(ms: number, signal?: AbortSignal): Promise<void>
  /** Calls `look` whenever the clock was moved. */
  onMove(look: () => void): void
}

/** Makes one that stands at `startMs`. */
export function createManualClock(startMs = Date.UTC(2026, 10, 25, 12)): ManualClock {
  let nowMs = startMs
  const waiting = new Set<{ atMs: number; go: () => void }>()
  const looks: (() => void)[] = []

  function moveTo(atMs: number): void {
    nowMs = atMs
    for (const one of [...waiting].filter((some) => some.atMs <= atMs)) {
      waiting.delete(one)
      one.go()
    }
    for (const look of looks) look()
  }

  return {
    now: () => nowMs,
    async advance(ms) {
      const untilMs = nowMs + ms
      for (;;) {
        const nextMs = Math.min(untilMs, ...[...waiting].map(({ atMs }) => atMs))
        moveTo(nextMs)
        await new Promise((resolve) => setImmediate(resolve))
        if (nextMs >= untilMs && ![...waiting].some(({ atMs }) => atMs <= untilMs)) return
      }
    },
    wait(ms, signal) {
      signal?.throwIfAborted()
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const one = { atMs: nowMs + ms, go: resolve }
      waiting.add(one)
      signal?.addEventListener('abort', () => {
        waiting.delete(one)
        reject(signal.reason)
      })
      return promise
    },
    onMove: (look) => void looks.push(look),
  }
}
