/** Lets each node have a few of its requests answered at once, and the rest in turn. */
export interface NodeTurns {
  /** Rejects when too many of the node's wait already: it gets no answer, and asks again. */
  take<T>(nodeId: string, work: () => Promise<T>): Promise<T>
}

/** Of the ten connections of a scheduler. */
const AT_ONCE = 4

interface Line {
  running: number
  waiting: (() => void)[]
}

/**
 * Keeps a node that asks without end from taking the connections to Postgres, and the memory, that answers to all others
 * need. `inLine` requests of each node may wait.
 */
export function createNodeTurns(inLine: number): NodeTurns {
  const lines = new Map<string, Line>()

  return {
    async take(nodeId, work) {
      const line = lines.get(nodeId) ?? { running: 0, waiting: [] }
      lines.set(nodeId, line)
      if (line.running < AT_ONCE) line.running++
      else {
        if (line.waiting.length >= inLine) throw new Error(`${inLine} requests of this node wait already`)
        const { promise, resolve } = Promise.withResolvers<void>()
        line.waiting.push(resolve)
        await promise
      }
      try {
        return await work()
      } finally {
        // Whoever is next has the place of this one.
        const next = line.waiting.shift()
        if (next) next()
        else if (--line.running === 0) lines.delete(nodeId)
      }
    },
  }
}
