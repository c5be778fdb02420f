import { isForSale } from '../../scheduler/cloud/cloud.ts'
import type { MachinePlan, PlanInput, Policy } from '../../scheduler/plan/plan.ts'
import { planMachines } from '../../scheduler/plan/plan-machines.ts'
import type { Planner } from './world.ts'

/** A planner, and what its operator set differently. */
export interface Rival {
  plan: Planner
  policy: Partial<Policy>
}

/** Machines go when they were idle for five minutes, whatever is paid. */
const IDLE = { keep: 'idle', idleSeconds: 300 } as const

/** Our planner and what it is measured against, by name. The second one buys as ours does. */
export const RIVALS: Readonly<Record<'ours' | 'idle 5 min' | 'queued / 2', Rival>> = {
  ours: { plan: planMachines, policy: {} },
  'idle 5 min': { plan: planMachines, policy: IDLE },
  'queued / 2': { plan: planNaively, policy: IDLE },
}

/** Half as many machines as jobs wait, less those that come; what was idle for long goes. */
function planNaively({ nowMs, nodes, waiting, offers, policy }: PlanInput): MachinePlan {
  const queued = waiting.reduce((sum, { jobs }) => sum + jobs, 0)
  const coming = nodes.filter(({ state }) => state === 'planned' || state === 'creating' || state === 'booting').length
  const count = Math.min(Math.ceil(queued / 2) - coming, policy.maxNodes - nodes.length)
  const offer = offers.find(isForSale)
  const goes = nodes.filter(({ state, idleSinceMs }) => state === 'ready' && idleSinceMs !== null && nowMs - idleSinceMs >= policy.idleSeconds * 1000)
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
