import type { Architecture } from '#core/node.ts'
import type { Policy, Waiting } from './plan.ts'

/** A job is to start within so long of when it could first run: nothing is bought for one that can begin by then without. */
export const WAIT_GOAL_SECONDS = 90

/** Jobs of one size that nothing was found for yet. */
export interface Group {
  readonly waiting: Waiting
  /** How many of them nothing was found for. */
  left: number
  /** In seconds from now: a slot that is there by then is early enough. */
  readonly startBySeconds: number
}

/** Groups that want the same slots on the same architectures, the one with the most memory first. */
interface SizeClass {
  readonly slots: number
  readonly archs: readonly Architecture[]
  readonly groups: Group[]
  /** For each group the next one that may have jobs left, itself included; see `nextLeft`. */
  readonly next: number[]
}

/** Waiting jobs in the order in which they are placed: those that fit fewest machines first. */
export interface Demand {
  readonly classes: readonly SizeClass[]
  readonly groups: readonly Group[]
  /** Jobs of all groups that nothing was found for. */
  left: number
  /** The latest `startBySeconds` of all. */
  readonly latestSeconds: number
}

/** Slots that are free from some time on, in seconds from now. */
export interface Opening {
  slots: number
  memoryBytes: number
  fromSeconds: number
}

/** Jobs of a group that were placed. */
export interface Taken {
  group: Group
  jobs: number
}

/**
 * Waiting jobs, to be placed. A machine that is bought now helps after a boot and not before, so a slot that is free by then
 * is always early enough, however long a job has waited; else it is the goal that counts. `extraSeconds` are added.
 */
export function createDemand(waiting: readonly Waiting[], policy: Pick<Policy, 'bootSeconds'>, extraSeconds: number): Demand {
  const classes = new Map<string, SizeClass>()
  const groups: Group[] = []
  for (const one of waiting) {
    if (one.jobs <= 0) continue
    const startBySeconds = Math.max(policy.bootSeconds, WAIT_GOAL_SECONDS - one.oldestWaitSeconds) + extraSeconds
    const group = { waiting: one, left: one.jobs, startBySeconds }
    const key = `${one.slots} ${[...one.archs].sort().join()}`
    const same: SizeClass = classes.get(key) ?? { slots: one.slots, archs: one.archs, groups: [], next: [] }
    classes.set(key, same)
    same.groups.push(group)
    groups.push(group)
  }
  for (const { groups, next } of classes.values()) {
    groups.sort((a, b) => b.waiting.memoryBytes - a.waiting.memoryBytes)
    for (let i = 0; i <= groups.length; i++) next.push(i)
  }
  return {
    classes: [...classes.values()].sort((a, b) => a.archs.length - b.archs.length || b.slots - a.slots),
    groups,
    left: groups.reduce((sum, group) => sum + group.left, 0),
    latestSeconds: groups.reduce((latest, group) => Math.max(latest, group.startBySeconds), 0),
  }
}

/**
 * Places jobs in an opening of a machine and takes its slots and memory away. A slot that is free early takes several short
 * jobs, one after the other, as long as each starts early enough. Returns how many slots that took.
 */
export function place(demand: Demand, arch: Architecture, opening: Opening, taken?: Taken[]): number {
  let usedSlots = 0
  const openings = [opening]
  for (let open = openings.pop(); open !== undefined && demand.left > 0; open = openings.pop()) {
    if (open.fromSeconds > demand.latestSeconds) continue
    for (const same of demand.classes) {
      if (same.slots > open.slots || !same.archs.includes(arch)) continue
      let i = nextLeft(same, firstThatFits(same, open.memoryBytes), !taken)
      while (i < same.groups.length && same.slots <= open.slots) {
        const again = placeGroup(demand, same.groups[i] as Group, open, taken)
        if (again && open === opening) usedSlots += again.slots
        if (again && again.fromSeconds <= demand.latestSeconds) openings.push(again)
        i = nextLeft(same, again ? i : i + 1, !taken)
      }
    }
  }
  return usedSlots
}

/** Gives back what `place` took. */
export function giveBack(demand: Demand, taken: readonly Taken[]): void {
  for (const { group, jobs } of taken) {
    group.left += jobs
    demand.left += jobs
  }
}

/** Places as many of a group as go. Returns the slots that took, and when they are free again; undefined: none fits. */
function placeGroup(demand: Demand, group: Group, open: Opening, taken: Taken[] | undefined): Opening | undefined {
  const { slots, memoryBytes, expectedSeconds } = group.waiting
  const slackSeconds = group.startBySeconds - open.fromSeconds
  const lanes = Math.min(Math.floor(open.slots / slots), memoryBytes > 0 ? Math.floor(open.memoryBytes / memoryBytes) : Number.POSITIVE_INFINITY)
  if (slackSeconds < 0 || lanes < 1) return undefined
  const rounds = Math.floor(slackSeconds / Math.max(1, expectedSeconds)) + 1
  const used = Math.min(lanes, Math.ceil(group.left / rounds))
  const jobs = Math.min(group.left, used * rounds)
  group.left -= jobs
  demand.left -= jobs
  taken?.push({ group, jobs })
  open.slots -= used * slots
  open.memoryBytes -= used * memoryBytes
  return { slots: used * slots, memoryBytes: used * memoryBytes, fromSeconds: open.fromSeconds + Math.ceil(jobs / used) * Math.max(1, expectedSeconds) }
}

/** The first group of a class, which has the most memory first, that fits in so much. */
function firstThatFits(same: SizeClass, memoryBytes: number): number {
  let [low, high] = [0, same.groups.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((same.groups[middle] as Group).waiting.memoryBytes > memoryBytes) low = middle + 1
    else high = middle
  }
  return low
}

/**
 * The first group from `at` on with jobs left. `final`: those without have none for good, and are passed over from now on, so
 * that a tick takes as long as there are groups and machines, not their product.
 */
function nextLeft(same: SizeClass, at: number, final: boolean): number {
  let found = at
  while (found < same.groups.length && (same.groups[found] as Group).left === 0) found = Math.max(found + 1, same.next[found] as number)
  if (!final) return found
  for (let i = at; i < found; ) {
    const next = Math.max(i + 1, same.next[i] as number)
    same.next[i] = found
    i = next
  }
  return found
}
