import { createLoop, type Loop } from '#core/service/loop.ts'
import { createServerSweep } from '../reaper/servers.ts'
import { createCollector } from './collector.ts'
import { createPlanner, type PlannerDeps } from './planner.ts'
import { createProvisioner } from './provisioner.ts'
import { createRemover } from './remover.ts'

/** Rows are looked at so often, which costs one statement when there is nothing to do. */
const EVERY_MS = 1000
const SWEEP_MS = 30_000

/** The loops about machines: they decide, buy, delete, and look for what was left behind. Only the leader's do anything. */
export function createMachineLoops(deps: PlannerDeps, planMs: number): Loop[] {
  const { log } = deps
  return [
    createLoop({ name: 'machine-planner', everyMs: planMs, log, round: createPlanner(deps) }),
    createLoop({ name: 'machine-provisioner', everyMs: EVERY_MS, log, round: createProvisioner(deps) }),
    createLoop({ name: 'machine-remover', everyMs: EVERY_MS, log, round: createRemover(deps) }),
    createLoop({ name: 'machine-collector', everyMs: EVERY_MS, log, round: createCollector(deps) }),
    createLoop({ name: 'server-sweep', everyMs: SWEEP_MS, log, round: createServerSweep(deps) }),
  ]
}
