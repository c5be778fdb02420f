import { cover } from './capacity.ts'
import type { Demand } from './demand.ts'
import type { Fleet, Member } from './fleet.ts'
import type { MachinePlan, PlanInput } from './plan.ts'
import { count, tellHour, tellReady } from './words.ts'

/** What there is to count on so far, and what was decided. */
export interface Progress {
  readonly demand: Demand
  /** Slots that are free, or come, and that no waiting job takes. */
  freeSlots: number
  /** Nodes that take work, or come. */
  working: number
  /** Nodes that are to get no other hour, whatever waits: see `beyondCaps`. */
  readonly spare: ReadonlySet<Member>
  readonly plan: Pick<MachinePlan, 'drain' | 'resume' | 'keep' | 'remove'>
}

/** Nodes that take work, or come, and that nothing speaks against. */
export function countOn(fleet: Fleet, progress: Progress, { nowMs, policy }: PlanInput): void {
  const { demand, plan } = progress
  for (const member of fleet.stays) {
    if (progress.spare.has(member)) {
      release(member, progress, TOO_MANY)
      continue
    }
    progress.freeSlots += cover(demand, member.node, nowMs, policy).freeSlots
    progress.working++
    plan.keep.push({ nodeId: member.node.nodeId, reason: tellReady(member, true) })
  }
  for (const member of fleet.reopens) {
    if (progress.spare.has(member)) {
      end(member, progress)
      continue
    }
    progress.freeSlots += cover(demand, member.node, nowMs, policy).freeSlots
    progress.working++
    plan.resume.push({ nodeId: member.node.nodeId, reason: `takes work again: another hour is paid${tellHour(member.hour, false)}` })
  }
  // What was not ordered yet comes last, so that it is what is too much.
  const isPlanned = ({ node }: Member) => node.state === 'planned'
  for (const member of [...fleet.coming.filter((one) => !isPlanned(one)), ...fleet.coming.filter(isPlanned)]) {
    const { nodeId, state, slots } = member.node
    const { takes, freeSlots } = cover(demand, member.node, nowMs, policy)
    if (state === 'planned' && !takes && progress.freeSlots >= policy.warmSlots && progress.working >= policy.minNodes) {
      plan.remove.push({ nodeId, reason: 'was not ordered yet, and is wanted no more' })
      continue
    }
    progress.freeSlots += freeSlots
    progress.working++
    plan.keep.push({ nodeId, reason: state === 'booting' ? `boots; will have ${count(slots, 'slot')}` : 'is being bought' })
  }
}

/**
 * Nodes whose paid hour ends, or that were idle for long: those stay, as far as the caps allow, that waiting jobs, the minimum, the warm buffer or the
 * jobs that run need. Another one that is bought later costs no more than another hour of this one, so doubt speaks for going.
 */
export function closeHours(fleet: Fleet, progress: Progress, input: PlanInput): void {
  const { demand } = progress
  const { minNodes, warmSlots } = input.policy
  const go: Member[] = []
  const keep = (member: Member, why: string, freeSlots: number) => {
    progress.freeSlots += freeSlots
    progress.working++
    progress.plan.keep.push({ nodeId: member.node.nodeId, reason: `kept: ${why}${tellHour(member.hour, false)}` })
  }
  for (const member of [...fleet.closing].sort(byUse)) {
    if (progress.spare.has(member)) {
      release(member, progress, TOO_MANY)
      continue
    }
    const { takes, freeSlots } = cover(demand, member.node, input.nowMs, input.policy)
    if (takes) keep(member, 'work waits', freeSlots)
    else if (progress.working < minNodes) keep(member, `minimum of ${count(minNodes, 'node')}`, freeSlots)
    else if (progress.freeSlots < warmSlots && freeSlots > 0) keep(member, `${count(warmSlots, 'slot')} are to be free`, freeSlots)
    else go.push(member)
  }
  // Those with the least to do first: what runs on them, and one job at least, is to fit on the others when it comes.
  for (const member of go.reverse()) {
    const { usedSlots, slots } = member.node
    if (member.due || progress.freeSlots - Math.max(1, usedSlots) >= warmSlots) {
      progress.freeSlots -= usedSlots
      release(member, progress)
    } else keep(member, 'the others have no room', slots - usedSlots)
  }
}

/** Nodes that take no work: back, if that saves buying one; else they go when they are empty and what is paid is used up. */
export function takeBack(fleet: Fleet, progress: Progress, { nowMs, policy }: PlanInput): void {
  const { demand, plan } = progress
  for (const member of [...fleet.drained].sort(byUse)) {
    if (progress.spare.has(member)) {
      end(member, progress)
      continue
    }
    const { takes, freeSlots } = cover(demand, member.node, nowMs, policy)
    const why = takes
      ? 'work waits'
      : progress.working < policy.minNodes
        ? `minimum of ${count(policy.minNodes, 'node')}`
        : progress.freeSlots < policy.warmSlots && freeSlots > 0
          ? `${count(policy.warmSlots, 'slot')} are to be free`
          : undefined
    if (why === undefined) end(member, progress)
    else {
      progress.freeSlots += freeSlots
      progress.working++
      plan.resume.push({ nodeId: member.node.nodeId, reason: `takes work again: ${why}` })
    }
  }
}

/** Nodes that go whatever waits. Those past their time let others come first: `coming` more are bought in this round. */
export function letGo(fleet: Fleet, progress: Progress, coming: number, { policy }: PlanInput): void {
  let working = progress.working + coming
  for (const member of fleet.expired) {
    if (working >= policy.minNodes) release(member, progress)
    else {
      working++
      progress.plan.keep.push({ nodeId: member.node.nodeId, reason: `kept: minimum of ${count(policy.minNodes, 'node')}, and no other may come yet` })
    }
  }
  for (const member of fleet.leaving) end(member, progress)
  for (const { node } of fleet.stuck) progress.plan.remove.push({ nodeId: node.nodeId, reason: `did not enrol within ${policy.enrolSeconds} s` })
  for (const { node } of fleet.out) progress.plan.keep.push({ nodeId: node.nodeId, reason: OUT_WORDS[node.state] ?? node.state })
}

const OUT_WORDS: Partial<Record<Member['node']['state'], string>> = {
  lost: 'lost: it is not heard of',
  deleting: 'is being deleted',
  gone: 'is gone',
  failed: 'failed',
}

const TOO_MANY = 'more machines than there may be'

/**
 * Nodes that are too many, as the caps were lowered or are used up: those that take no work go first, then those that do least. None
 * goes before the hour that is paid for it ends.
 */
export function beyondCaps(fleet: Fleet, { maxNodes, maxHourMicrons, keep }: PlanInput['policy']): ReadonlySet<Member> {
  const ending = fleet.stays.filter(({ hour }) => keep === 'idle' || hour.closing)
  const inOrder = [[...ending, ...fleet.closing].sort(byUse), [...fleet.reopens, ...fleet.drained].sort(byUse)].flat()
  const ordered = fleet.coming.filter(({ node }) => node.state !== 'planned')
  const all = new Set([...fleet.stays, ...ordered, ...inOrder])
  let machines = all.size
  let microns = [...all].reduce((sum, { node }) => sum + node.hourMicrons, 0)
  const spare = new Set<Member>()
  for (const member of inOrder.reverse()) {
    if (machines <= maxNodes && (maxHourMicrons === null || microns <= maxHourMicrons)) break
    spare.add(member)
    machines--
    microns -= member.node.hourMicrons
  }
  return spare
}

/** A node that took work until now. */
function release(member: Member, { plan }: Progress, tooMany?: string): void {
  const { nodeId, usedSlots } = member.node
  if (member.due) plan.remove.push({ nodeId, reason: `${tooMany ?? 'idle, and nothing waits'}${tellHour(member.hour, false)}` })
  else if (tooMany !== undefined) plan.drain.push({ nodeId, reason: `${tooMany}${tellHour(member.hour, false)}` })
  else if (usedSlots === 0) plan.drain.push({ nodeId, reason: `idle, and others can do what comes${tellHour(member.hour, true)}` })
  else plan.drain.push({ nodeId, reason: `goes when its jobs have ended${tellHour(member.hour, false)}` })
}

/** A node that takes no work. */
function end(member: Member, { plan }: Progress): void {
  const { nodeId, usedSlots, drainRequested } = member.node
  const why = drainRequested ? 'drained, as was asked' : 'drained'
  if (member.due) plan.remove.push({ nodeId, reason: `${why}; has no job${tellHour(member.hour, false)}` })
  else plan.keep.push({ nodeId, reason: `${why}; ${usedSlots === 0 ? 'idle' : `busy: ${count(usedSlots, 'slot')}`}${tellHour(member.hour, usedSlots === 0)}` })
}

/** Those that do most first, then those whose hour ends last. */
function byUse(a: Member, b: Member): number {
  return b.node.usedSlots - a.node.usedSlots || b.hour.untilMs - a.hour.untilMs || 0
}
