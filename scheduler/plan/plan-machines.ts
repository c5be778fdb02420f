import { chooseMachines, roomFor } from './choose.ts'
import { createDemand } from './demand.ts'
import { sortFleet } from './fleet.ts'
import type { MachinePlan, PlanInput } from './plan.ts'
import { beyondCaps, closeHours, countOn, letGo, type Progress, takeBack } from './retire.ts'

/**
 * What is to be done so that jobs that wait start in time, for the least money: jobs are placed on what there is and comes,
 * then on what would go, then on what was drained; what is left over is bought, within the caps. The formula, and what it
 * comes to over 30 days of several kinds of load, is in docs/AUTOSCALER.md. Pure: the same input gives the same plan.
 */
export function planMachines(input: PlanInput): MachinePlan {
  const { nowMs, nodes, offers, policy } = input
  const fleet = sortFleet(input)
  const demand = createDemand(input.waiting, policy, cooldownLeft(input))
  const progress: Progress = { demand, freeSlots: 0, working: 0, spare: beyondCaps(fleet, policy), plan: { drain: [], resume: [], keep: [], remove: [] } }
  countOn(fleet, progress, input)
  closeHours(fleet, progress, input)
  takeBack(fleet, progress, input)
  const missingSlots = demand.groups.reduce((sum, { left, waiting }) => sum + left * waiting.slots, 0)
  const wanted = {
    demand,
    warmSlots: Math.max(0, policy.warmSlots - Math.max(0, progress.freeSlots)),
    machines: Math.max(0, policy.minNodes - progress.working),
  }
  const bought = chooseMachines(wanted, offers, roomFor(nodes, policy), policy.bootSeconds)
  const coming = bought.create.reduce((sum, { count }) => sum + count, 0)
  letGo(fleet, progress, coming, input)
  return { ...progress.plan, ...bought, missingSlots }

  function cooldownLeft({ boughtAtMs }: PlanInput): number {
    const leftMs = boughtAtMs === null ? 0 : boughtAtMs + policy.cooldownSeconds * 1000 - nowMs
    // Only what comes may be waited for longer.
    const comes = nodes.some(({ state }) => state === 'planned' || state === 'creating' || state === 'booting')
    return comes ? Math.max(0, Math.min(policy.cooldownSeconds, leftMs / 1000)) : 0
  }
}
