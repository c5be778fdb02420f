/** Does `work` for each item, so many at a time; the results are in the order of the items. The first error ends it. */
export async function inParallel<T, R>(items: readonly T[], atOnce: number, work: (item: T) => Promise<R>): Promise<R[]> {
  const results: R[] = []
  let next = 0
  const worker = async () => {
    while (next < items.length) {
      const index = next++
      try {
        results[index] = await work(items[index] as T)
      } catch (error) {
        next = items.length
        throw error
      }
    }
  }
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, worker))
  return results
}

/** Work that comes bit by bit and is done a few at a time, without anyone waiting for it yet. */
export interface Pool {
  /** The work must not reject. */
  add(work: () => Promise<void>): void
  /** Resolves when everything that was added is done. */
  idle(): Promise<void>
}

/** See the interface. */
export function createPool(atOnce: number): Pool {
  const waiting: (() => Promise<void>)[] = []
  const workers = new Set<Promise<void>>()
  const worker = async () => {
    for (let work = waiting.shift(); work; work = waiting.shift()) await work()
  }
  return {
    add(work) {
      waiting.push(work)
      if (workers.size >= atOnce) return
      const started: Promise<void> = worker().finally(() => workers.delete(started))
      workers.add(started)
    },
    async idle() {
      while (workers.size > 0) await Promise.all(workers)
    },
  }
}
