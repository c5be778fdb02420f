import { isExpired, type PaidHour, paidHour, runDryMs } from './billing.ts'
import type { NodeFacts, PlanInput } from './plan.ts'

/**
 * What a node is to the plan.
 * - `stays`: takes work, and nothing speaks for its end
 * - `coming`: is bought and does not take work yet
 * - `closing`: takes work, and goes unless it is needed
 * - `expired`: takes work, has lived its time, and goes when another may take its place
 * - `drained`: takes no work, and goes unless it is needed
 * - `reopens`: was drained, but another hour is paid by now
 * - `leaving`: takes no work, and is not to be taken back
 * - `stuck`: was given time enough to come
 * - `out`: is nothing to count on
 */
export type Role = 'stays' | 'coming' | 'closing' | 'expired' | 'drained' | 'reopens' | 'leaving' | 'stuck' | 'out'

/** A node with its role. */
export interface Member {
  node: NodeFacts
  hour: PaidHour
  /** Has nothing to do, and it is time to delete it, were it not needed. */
  due: boolean
}

/** The nodes by role, in the order of the input. */
export type Fleet = Record<Role, Member[]>

/** Sorts the nodes. */
export function sortFleet(input: PlanInput): Fleet {
  const fleet: Fleet = { stays: [], coming: [], closing: [], expired: [], drained: [], reopens: [], leaving: [], stuck: [], out: [] }
  const dryMs = runDryMs(input.nodes, input.nowMs)
  for (const node of input.nodes) {
    const hour = paidHour(node, input.nowMs, input.policy, dryMs)
    fleet[roleOf(node, hour, input)].push({ node, hour, due: isDue(node, hour, input) })
  }
  return fleet
}

function roleOf(node: NodeFacts, hour: PaidHour, { nowMs, policy }: PlanInput): Role {
  switch (node.state) {
    case 'planned':
    case 'creating':
      return 'coming'
    case 'booting':
      return nowMs - node.stateAtMs > policy.enrolSeconds * 1000 && node.usedSlots === 0 ? 'stuck' : 'coming'
    case 'ready':
      return node.drainRequested ? 'leaving' : roleOfReady(node, hour, { nowMs, policy })
    case 'draining':
      if (node.drainRequested) return 'leaving'
      if (isExpired(node, nowMs, policy)) return policy.keep === 'idle' || hour.closing ? 'leaving' : 'drained'
      return policy.keep === 'idle' || hour.closing ? 'drained' : 'reopens'
    default:
      return 'out'
  }
}

function roleOfReady(node: NodeFacts, hour: PaidHour, { nowMs, policy }: Pick<PlanInput, 'nowMs' | 'policy'>): Role {
  const expired = isExpired(node, nowMs, policy)
  if (policy.keep === 'idle') return expired ? 'expired' : isIdleFor(node, nowMs, policy.idleSeconds) ? 'closing' : 'stays'
  // Its jobs, or the deletion, would not end in time: the next hour is as good as paid, so it may as well take work.
  if (!hour.closing || nowMs > hour.lastCallMs || (node.busyUntilMs ?? 0) > hour.lastCallMs) return 'stays'
  return expired ? 'expired' : 'closing'
}

function isDue(node: NodeFacts, hour: PaidHour, { nowMs, policy }: PlanInput): boolean {
  if (node.usedSlots > 0 || node.busyUntilMs !== null) return false
  if (policy.keep === 'hour') return nowMs >= hour.goesAtMs && nowMs <= hour.lastCallMs
  return isIdleFor(node, nowMs, policy.idleSeconds) || (node.state === 'draining' && !node.drainRequested)
}

function isIdleFor(node: NodeFacts, nowMs: number, seconds: number): boolean {
  return node.usedSlots === 0 && node.idleSinceMs !== null && nowMs - node.idleSinceMs >= seconds * 1000
}
