import { newId } from '#core/ids.ts'
import { imageKey } from '#core/image-name.ts'
import type { NodeCapacity, Pick, QueuedJob, Search } from '#store/claims.ts'
import { newLeaseToken } from '#store/secrets.ts'

/** What one node asked for. */
export interface Wish {
  nodeId: string
  slots: number
  memoryBytes: number
}

/** A job that is left in the queue, as a node that did not ask suits it better. */
export interface Leave {
  jobId: string
  nodeId: string
  slots: number
  memoryBytes: number
}

/** What becomes of a round of claims. */
export interface ClaimPlan {
  picks: Pick[]
  leaves: Leave[]
}

/** What is known of nodes and jobs beyond what they take. */
export interface Hints {
  /** Nodes that have room and did not ask. */
  elsewhere?: readonly NodeCapacity[]
  /** Whether the job may be left to one of them. */
  mayLeave?: (jobId: string) => boolean
  /** For about how long a machine that was bought takes work. */
  lifetimeSeconds?: number
}

interface Room {
  nodeId: string
  slots: number
  memoryBytes: number
  /** What is left of its life. */
  lifeSeconds: number
  images: ReadonlySet<string>
}

/** What a job needs of a node beyond room. */
interface Needs extends QueuedJob {
  imageKey: string
  /** Minus infinity: it takes longer than machines live, so that any will do. */
  lifeSeconds: number
}

/**
 * Hands queued jobs, in their order, to the nodes that asked. A node gets no more than it asked for, nor than the
 * database says it has free, whatever it claims to have, and no job that is to avoid it; a job that fits nowhere is left in the queue. Of the nodes that
 * have room, one that lives long enough for the job comes first, then one that has its image, then the one with the most free
 * slots, so that work is spread. A job that a node elsewhere suits better in one of the first two is left to that one, where
 * `mayLeave` allows. Where none suits it goes to whoever asked, as a node with a job is kept: so a job never waits for a machine
 * of another age, nor does one that takes longer than a machine lives. Pure but for the new ids.
 */
export function planClaims(wishes: readonly Wish[], capacity: readonly NodeCapacity[], candidates: readonly QueuedJob[], hints: Hints = {}): ClaimPlan {
  const lifetimeSeconds = hints.lifetimeSeconds ?? Number.POSITIVE_INFINITY
  const rooms = capacity.map((node): Room => {
    const asked = wishes.filter((wish) => wish.nodeId === node.nodeId)
    const slots = Math.min(node.freeSlots, Math.max(0, ...asked.map((wish) => wish.slots)))
    const memoryBytes = Math.min(node.freeMemoryBytes, Math.max(0, ...asked.map((wish) => wish.memoryBytes)))
    return roomOf(node, slots, memoryBytes, lifetimeSeconds)
  })
  const others = (hints.elsewhere ?? []).map((node) => roomOf(node, node.freeSlots, node.freeMemoryBytes, lifetimeSeconds))
  const plan: ClaimPlan = { picks: [], leaves: [] }
  for (const candidate of candidates) {
    const job = needsOf(candidate, capacity, lifetimeSeconds)
    const best = bestRoom(rooms, job)
    if (!best) continue
    const other = suits(best, job) < SUITS_BEST && hints.mayLeave?.(job.jobId) ? bestRoom(others, job) : undefined
    const left = other && suits(other, job) > suits(best, job) ? other : undefined
    const taken = left ?? best
    taken.slots -= job.slots
    taken.memoryBytes -= job.memoryBytes
    if (left) plan.leaves.push({ jobId: job.jobId, nodeId: left.nodeId, slots: job.slots, memoryBytes: job.memoryBytes })
    else plan.picks.push({ jobId: job.jobId, attemptId: newId('attempt'), nodeId: best.nodeId, leaseToken: newLeaseToken() })
  }
  return plan
}

/** Whom else to consider for a round: nobody, when whoever asked suits every job. */
export function searchElsewhere(capacity: readonly NodeCapacity[], candidates: readonly QueuedJob[], lifetimeSeconds: number): Search | undefined {
  const rooms = capacity.map((node) => roomOf(node, node.freeSlots, node.freeMemoryBytes, lifetimeSeconds))
  const images = new Set<string>()
  let maxAgeSeconds: number | null = null
  for (const candidate of candidates) {
    const job = needsOf(candidate, capacity, lifetimeSeconds)
    const open = rooms.filter((room) => !job.avoid.includes(room.nodeId))
    if (!open.some((room) => room.images.has(job.imageKey))) images.add(job.imageKey)
    if (!open.some((room) => room.lifeSeconds >= job.lifeSeconds)) maxAgeSeconds = Math.max(maxAgeSeconds ?? 0, lifetimeSeconds - job.lifeSeconds)
  }
  return images.size === 0 && maxAgeSeconds === null ? undefined : { images: [...images], maxAgeSeconds }
}

const SUITS_BEST = 3

/** 2 for a life that is long enough, 1 for the image. */
function suits(room: Room, job: Needs): number {
  return (room.lifeSeconds >= job.lifeSeconds ? 2 : 0) + (room.images.has(job.imageKey) ? 1 : 0)
}

function bestRoom(rooms: readonly Room[], job: Needs): Room | undefined {
  let best: Room | undefined
  for (const room of rooms) {
    if (room.slots < job.slots || room.memoryBytes < job.memoryBytes || job.avoid.includes(room.nodeId)) continue
    if (!best || (suits(room, job) - suits(best, job) || room.slots - best.slots) > 0) best = room
  }
  return best
}

function needsOf(job: QueuedJob, asking: readonly NodeCapacity[], lifetimeSeconds: number): Needs {
  const avoid = asking.every((node) => job.avoid.includes(node.nodeId)) ? [] : job.avoid
  return { ...job, avoid, imageKey: imageKey(job.image), lifeSeconds: job.mostSeconds > lifetimeSeconds ? Number.NEGATIVE_INFINITY : job.mostSeconds }
}

function roomOf(node: NodeCapacity, slots: number, memoryBytes: number, lifetimeSeconds: number): Room {
  const lifeSeconds = node.ageSeconds === null ? Number.POSITIVE_INFINITY : lifetimeSeconds - node.ageSeconds
  return { nodeId: node.nodeId, slots, memoryBytes, lifeSeconds, images: new Set(node.images) }
}
