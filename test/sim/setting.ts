import type { Priced } from '../../scheduler/cloud/cloud.ts'
import type { Policy } from '../../scheduler/plan/plan.ts'
import type { WorldOptions } from './world.ts'

/** The machine of the simulation: 2 slots, and the price of the smallest one of Hetzner with its address. */
export const OFFER: Priced = {
  serverType: 'cx23',
  location: 'fsn1',
  arch: 'amd64',
  slots: 2,
  memoryBytes: 3.5 * 2 ** 30,
  hourMicrons: 9600,
  available: true,
}

/** How often the planner runs: the default of RGRID_PLAN_SECONDS. */
const PLAN_SECONDS = 5

/** The defaults of the scheduler (scheduler/machines/config.ts), but caps that no trace reaches. */
export const POLICY: Policy = {
  minNodes: 0,
  maxNodes: 500,
  warmSlots: 0,
  maxHourMicrons: null,
  burst: 100,
  cooldownSeconds: 30,
  keep: 'hour',
  idleSeconds: 300,
  marginSeconds: PLAN_SECONDS * 2 + 30,
  bootSeconds: 55,
  enrolSeconds: 300,
  lifetimeSeconds: 86_400,
}

/** The world that all planners meet. */
export const WORLD: WorldOptions = { offers: [OFFER], policy: POLICY, planSeconds: PLAN_SECONDS, seed: 7 }
