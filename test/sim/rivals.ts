import type { MachinePlan, PlanInput } from '../../scheduler/plan/plan.ts'
import { planMachines } from '../../scheduler/plan/plan-machines.ts'
import type { Planner } from './world.ts'

/** How long an idle machine stays with the policies that do not look at the paid hour, in seconds. */
const IDLE_SECONDS = 300

/** Our planner and what it is measured against, by name. */
export const PLANNERS: Readonly<Record<'ours' | 'idle 5 min' | 'queued / 2', Planner>> = {
  ours: planMachines,
  // Buys as ours does.
  'idle 5 min': (input) => planMachines({ ...input, policy: { ...input.policy, keep: 'idle', idleSeconds: IDLE_SECONDS } }),
  'queued / 2': planNaively,
}

/** Half as many machines as jobs wait, less those that come; what was idle for five minutes goes. */
function planNaively({ nowMs, nodes, waiting, offers, policy }: PlanInput): MachinePlan {
  const queued = waiting.reduce((sum, { jobs }) => sum + jobs, 0)
  const coming = nodes.filter(({ state }) => state === 'planned' || state === 'creating' || state === 'booting').length
  const count = Math.min(Math.ceil(queued / 2) - coming, policy.maxNodes - nodes.length)
  const [offer] = offers
  const goes = nodes.filter(({ state, idleSinceMs }) => state === 'ready' && idleSinceMs !== null && nowMs - idleSinceMs >= IDLE_SECONDS * 1000)
  const say = (reason: string) => (node: { nodeId: string }) => ({ nodeId: node.nodeId, reason })
  return {
    create: offer && count > 0 ? [{ offer, count }] : [],
    drain: [],
    resume: [],
    keep: nodes.filter((node) => !goes.includes(node)).map(say('stays')),
    remove: goes.map(say('idle')),
    missingSlots: 0,
    shortage: null,
  }
}
