/** What is to happen, by time; of two at the same time the one that was added first. */
export interface Agenda {
  add(atSeconds: number, run: () => void): void
  /** When the next thing happens; infinite: nothing does. */
  nextAt(): number
  /** Does the next thing. */
  run(): void
}

interface Entry {
  at: number
  seq: number
  run: () => void
}

/** See Agenda. A binary heap. */
export function createAgenda(): Agenda {
  const heap: Entry[] = []
  let seq = 0
  const isBefore = (a: Entry, b: Entry) => a.at < b.at || (a.at === b.at && a.seq < b.seq)
  const at = (index: number) => heap[index] as Entry

  function swap(a: number, b: number): void {
    const kept = at(a)
    heap[a] = at(b)
    heap[b] = kept
  }

  return {
    nextAt: () => heap[0]?.at ?? Number.POSITIVE_INFINITY,
    add(atSeconds, run) {
      heap.push({ at: atSeconds, seq: seq++, run })
      for (let child = heap.length - 1; child > 0; ) {
        const parent = (child - 1) >> 1
        if (!isBefore(at(child), at(parent))) return
        swap(child, parent)
        child = parent
      }
    },
    run() {
      const first = heap[0]
      const last = heap.pop()
      if (!first || !last) return
      if (heap.length > 0) heap[0] = last
      for (let parent = 0; ; ) {
        let least = parent
        for (const child of [2 * parent + 1, 2 * parent + 2]) if (child < heap.length && isBefore(at(child), at(least))) least = child
        if (least === parent) break
        swap(parent, least)
        parent = least
      }
      first.run()
    },
  }
}
