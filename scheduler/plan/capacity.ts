import { type Demand, type Opening, place } from './demand.ts'
import type { NodeFacts, Policy } from './plan.ts'

/**
 * A job is counted as ended after this part of the time that it is expected to take yet. Most jobs end before the mean of their
 * kind, and of many that run the first to end is what a waiting job needs: counting each to its expected end bought a tenth more
 * machine-hours than this, which still holds the goal (docs/AUTOSCALER.md).
 */
const FREE_AT = 0.5

/** What a node does for the jobs that wait. */
export interface Cover {
  /** Whether some of them are placed on it. */
  takes: boolean
  /** Slots that are free now, or when it comes, and that no waiting job takes. */
  freeSlots: number
}

/** Places waiting jobs on a node: in what is free, then in what is free when its jobs end. */
export function cover(demand: Demand, node: NodeFacts, nowMs: number, policy: Pick<Policy, 'bootSeconds'>): Cover {
  const free: Opening = {
    slots: Math.max(0, node.slots - node.usedSlots),
    memoryBytes: Math.max(0, node.memoryBytes - node.usedMemoryBytes),
    fromSeconds: secondsToReady(node, nowMs, policy),
  }
  const before = demand.left
  if (before === 0) return { takes: false, freeSlots: free.slots }
  place(demand, node.arch, free)
  const freeSlots = free.slots
  if (node.busyUntilMs !== null && demand.left > 0) placeLater(demand, node, free, (node.busyUntilMs - nowMs) / 1000)
  return { takes: demand.left < before, freeSlots }
}

/**
 * Places jobs in slots that are in use. Of those only the last end is known; the others are taken to end evenly spread before
 * it, each giving back its part of the memory. What no job takes stays free beside what is free next.
 */
function placeLater(demand: Demand, node: NodeFacts, left: Opening, busySeconds: number): void {
  let { slots, memoryBytes } = left
  for (let ended = 1; ended <= node.usedSlots && demand.left > 0; ended++) {
    const fromSeconds = (FREE_AT * Math.max(0, busySeconds) * ended) / node.usedSlots
    if (fromSeconds > demand.latestSeconds) return
    const opening = { slots: slots + 1, memoryBytes: memoryBytes + node.usedMemoryBytes / node.usedSlots, fromSeconds }
    place(demand, node.arch, opening)
    slots = opening.slots
    memoryBytes = opening.memoryBytes
  }
}

/** How long until a node takes work. One that takes longer than is usual is expected to take a little longer still. */
export function secondsToReady(node: NodeFacts, nowMs: number, policy: Pick<Policy, 'bootSeconds'>): number {
  if (node.state === 'ready' || node.state === 'draining') return 0
  if (node.state === 'planned') return policy.bootSeconds
  const waitedSeconds = (nowMs - (node.billedFromMs ?? node.stateAtMs)) / 1000
  return Math.min(policy.bootSeconds, Math.max(policy.bootSeconds - waitedSeconds, policy.bootSeconds / 6))
}
