import type { NodeCapacity } from '#store/claims.ts'
import type { Leave } from './plan-claims.ts'

/** A node that was left a job is expected to ask for it within so long. */
const ASK_MS = 1000
/** Jobs that are remembered; beyond it the oldest are forgotten, and may be left once more. */
const MAX_JOBS = 10_000

/** Jobs that were left in the queue for nodes that suit them better. */
export interface Handovers {
  /** A job is left once: whoever asks next takes it. */
  mayLeave(jobId: string): boolean
  /** Nodes less what was left for them already, without those that did not come for it. */
  available(nodes: readonly NodeCapacity[]): NodeCapacity[]
  left(leave: Leave): void
  /** A node asks for work: it gets what was left for it, or somebody else has it. */
  asked(nodeId: string): void
}

/** Keeps in mind what this process left to whom; what is forgotten costs a wake-up at most. */
export function createHandovers(nowMs: () => number): Handovers {
  const jobs = new Set<string>()
  const promised = new Map<string, { slots: number; memoryBytes: number; sinceMs: number }>()

  return {
    mayLeave: (jobId) => !jobs.has(jobId),
    available: (nodes) =>
      nodes.flatMap((node) => {
        const promise = promised.get(node.nodeId)
        if (!promise) return [node]
        if (nowMs() - promise.sinceMs > ASK_MS) return []
        return [{ ...node, freeSlots: node.freeSlots - promise.slots, freeMemoryBytes: node.freeMemoryBytes - promise.memoryBytes }]
      }),
    left({ jobId, nodeId, slots, memoryBytes }) {
      jobs.add(jobId)
      for (const oldest of jobs) {
        if (jobs.size <= MAX_JOBS) break
        jobs.delete(oldest)
      }
      const before = promised.get(nodeId)
      promised.set(nodeId, {
        slots: slots + (before?.slots ?? 0),
        memoryBytes: memoryBytes + (before?.memoryBytes ?? 0),
        sinceMs: before?.sinceMs ?? nowMs(),
      })
    },
    asked: (nodeId) => void promised.delete(nodeId),
  }
}
