import { RGridError } from '#core/errors.ts'

/** Lets each of many do a few things at once, and the rest in turn, so that none of them takes up what all share. */
export interface Turns {
  /** Throws `limit_exceeded` when too many wait already. */
  take<T>(who: string, work: () => Promise<T>): Promise<T>
}

interface Line {
  running: number
  waiting: (() => void)[]
}

/** See the interface: `atOnce` of one run, `inLine` may wait. */
export function createTurns(atOnce: number, inLine: number): Turns {
  const lines = new Map<string, Line>()

  async function begin(who: string, line: Line): Promise<void> {
    if (line.running < atOnce) {
      line.running++
      return
    }
    if (line.waiting.length >= inLine)
      throw new RGridError('limit_exceeded', `${inLine} requests of ${who} wait for the database already; send fewer at once`, { retryAfterSeconds: 1 })
    const { promise, resolve } = Promise.withResolvers<void>()
    line.waiting.push(resolve)
    await promise
  }

  return {
    async take(who, work) {
      const line = lines.get(who) ?? { running: 0, waiting: [] }
      lines.set(who, line)
      await begin(who, line)
      try {
        return await work()
      } finally {
        // Whoever is next has the place of this one.
        const next = line.waiting.shift()
        if (next) next()
        else if (--line.running === 0) lines.delete(who)
      }
    },
  }
}
