import { newId } from '#core/ids.ts'
import type { NodeCapacity, Pick, QueuedJob } from '#store/claims.ts'
import { newLeaseToken } from '#store/secrets.ts'

/** What one node asked for. */
export interface Wish {
  nodeId: string
  slots: number
  memoryBytes: number
}

/**
 * Hands queued jobs, in their order, to the nodes that asked. A node gets no more than it asked for, nor than the
 * database says it has free, whatever it claims to have. Each job goes to the node with the most free slots that
 * fits, so that work is spread; a job that fits nowhere is left in the queue. Pure but for the new ids.
 */
export function planClaims(wishes: readonly Wish[], capacity: readonly NodeCapacity[], candidates: readonly QueuedJob[]): Pick[] {
  const rooms = new Map<string, { slots: number; memoryBytes: number }>()
  for (const node of capacity) {
    const asked = wishes.filter((wish) => wish.nodeId === node.nodeId)
    const slots = Math.min(node.freeSlots, Math.max(0, ...asked.map((wish) => wish.slots)))
    const memoryBytes = Math.min(node.freeMemoryBytes, Math.max(0, ...asked.map((wish) => wish.memoryBytes)))
    rooms.set(node.nodeId, { slots, memoryBytes })
  }
  const picks: Pick[] = []
  for (const job of candidates) {
    let best: [string, { slots: number; memoryBytes: number }] | undefined
    for (const entry of rooms) {
      const [, room] = entry
      if (room.slots >= job.slots && room.memoryBytes >= job.memoryBytes && (!best || room.slots > best[1].slots)) best = entry
    }
    if (!best) continue
    best[1].slots -= job.slots
    best[1].memoryBytes -= job.memoryBytes
    picks.push({ jobId: job.jobId, attemptId: newId('attempt'), nodeId: best[0], leaseToken: newLeaseToken() })
  }
  return picks
}
