import type { Priced } from '../../scheduler/cloud/cloud.ts'
import type { MachinePlan, NodeFacts, PlanInput, Policy, Waiting } from '../../scheduler/plan/plan.ts'

const GI = 2 ** 30
/** 14:00 UTC. */
export const NOW_MS = Date.UTC(2026, 2, 1, 14, 0, 0)
const MINUTE_MS = 60_000

/** Machines of 2 slots. */
export function anOffer(changes: Partial<Priced> = {}): Priced {
  return { serverType: 'cx23', location: 'fsn1', arch: 'amd64', slots: 2, memoryBytes: 4 * GI, hourMicrons: 10_000, available: true, ...changes }
}

/** Jobs of one slot that have just come and take five minutes. */
export function someJobs(jobs: number, changes: Partial<Waiting> = {}): Waiting {
  return { slots: 1, memoryBytes: GI, archs: ['amd64'], jobs, oldestWaitSeconds: 0, expectedSeconds: 300, ...changes }
}

/** A ready node of 2 slots with nothing to do, bought `minutes` ago. */
export function aNode(nodeId: string, minutes: number, changes: Partial<NodeFacts> = {}): NodeFacts {
  const billedFromMs = NOW_MS - minutes * MINUTE_MS
  const { serverType, location, arch, slots, memoryBytes, hourMicrons } = anOffer()
  const idle = { usedSlots: 0, usedMemoryBytes: 0, busyUntilMs: null, idleSinceMs: billedFromMs + MINUTE_MS }
  return {
    ...{ nodeId, state: 'ready', serverType, location, arch, slots, memoryBytes, hourMicrons, billedFromMs },
    ...{ stateAtMs: billedFromMs + MINUTE_MS, drainRequested: false, ...idle, ...changes },
  }
}

/** What a node has that runs jobs of one slot for so many seconds yet. */
export function busy(slots: number, seconds: number): Partial<NodeFacts> {
  return { usedSlots: slots, usedMemoryBytes: slots * GI, busyUntilMs: NOW_MS + seconds * 1000, idleSinceMs: null }
}

/** A policy without minimum, warm buffer or limit that matters. */
export function aPolicy(changes: Partial<Policy> = {}): Policy {
  return {
    ...{ minNodes: 0, maxNodes: 100, warmSlots: 0, maxHourMicrons: null, burst: 50, cooldownSeconds: 30, keep: 'hour', idleSeconds: 300 },
    ...{ marginSeconds: 60, bootSeconds: 55, enrolSeconds: 300, lifetimeSeconds: 86_400, ...changes },
  }
}

/** A question to the planner. */
export function aQuestion(changes: Partial<Omit<PlanInput, 'policy'>> & { policy?: Partial<Policy> } = {}): PlanInput {
  return { nowMs: NOW_MS, waiting: [], nodes: [], offers: [anOffer()], boughtAtMs: null, ...changes, policy: aPolicy(changes.policy) }
}

/** How many machines a plan buys. */
export function bought(plan: MachinePlan): number {
  return plan.create.reduce((sum, { count }) => sum + count, 0)
}

/** A plan in short: what is bought and what becomes of each node, with the reason. */
export function inShort(plan: MachinePlan): Record<string, string> {
  const said: Record<string, string> = {}
  for (const what of ['drain', 'resume', 'keep', 'remove'] as const) for (const { nodeId, reason } of plan[what]) said[nodeId] = `${what}: ${reason}`
  for (const { offer, count } of plan.create) said[`${offer.serverType}@${offer.location}`] = `create: ${count}`
  return said
}
