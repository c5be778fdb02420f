import { after, monotonicMs, soon } from '#core/service/time.ts'

/** Nothing rests for longer, however long a slice was. */
const MAX_REST_MS = 100

/** Lets long work run in the event loop a slice at a time, so that whoever asks for little is answered in between. */
export interface Pace {
  /** Resolves when a slice may run: some milliseconds of work that waits for nothing. Accounts take turns. */
  turn(who: string): Promise<void>
}

/**
 * See the interface. One slice runs at a time, whoever it is of, and after each all of them rest for as long as it took: half
 * of the event loop is for the others.
 */
export function createPace(): Pace {
  const lines = new Map<string, (() => void)[]>()
  let busy = false

  function next(): void {
    const [who, line] = lines.entries().next().value ?? []
    busy = line !== undefined
    if (who === undefined || line === undefined) return
    const resume = line.shift()
    // Whoever waits for more goes to the end of the round.
    lines.delete(who)
    if (line.length > 0) lines.set(who, line)
    const beganMs = monotonicMs()
    resume?.()
    soon(() => after(Math.min(monotonicMs() - beganMs, MAX_REST_MS), next))
  }

  return {
    turn(who) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const line = lines.get(who)
      if (line) line.push(resolve)
      else lines.set(who, [resolve])
      if (!busy) next()
      return promise
    },
  }
}

/** How long a slice of many small steps may last. */
const SLICE_MS = 8

/** Call the result between the steps of such work: it waits for a turn whenever a slice was long enough. */
export function createSlices(pace: Pace, who: string): () => Promise<void> {
  let beganMs = monotonicMs()
  return async () => {
    if (monotonicMs() - beganMs < SLICE_MS) return
    await pace.turn(who)
    beganMs = monotonicMs()
  }
}
