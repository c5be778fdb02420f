import type { Bus } from '#bus/bus.ts'
import { Control } from '#bus/messages/node.ts'
import { controlSubject } from '#bus/subjects.ts'
import { DEFAULT_POOL } from '#bus/wake.ts'
import type { Log } from '#core/service/log.ts'
import type { Metrics } from '#core/service/metrics.ts'
import type { Service } from '#core/service/run.ts'
import { meterMachines } from '#store/machine-meters.ts'
import type { DatabasePool } from '#store/pool.ts'
import type { SchedulerEnv } from '../config.ts'
import { machinePolicy } from './config.ts'
import { type MachineDeps, serverName } from './deps.ts'
import { createFacts } from './facts.ts'
import { createMachineLoops } from './loops.ts'
import { createMachineMeters } from './meters.ts'
import { createOffers } from './offers.ts'
import type { PlannerDeps } from './planner.ts'
import { createServers } from './servers.ts'

/** What the loops about machines need of their process. */
export interface MachineProcess extends Pick<MachineDeps, 'isLeader'>, Pick<PlannerDeps, 'plan'> {
  db: DatabasePool
  bus: Bus
  log: Log
  metrics: Metrics
  /** Who provides machines, and what they boot with; null: nodes are set up by hand. */
  opened: Pick<MachineDeps, 'cloud' | 'userData'> | null
}

/** The loops about machines, put together; none when nobody provides machines. */
export function openMachines(env: SchedulerEnv, { db, bus, log, metrics, opened, ...given }: MachineProcess): Service[] {
  meterMachines(metrics, db)
  const meters = createMachineMeters(metrics)
  if (opened === null) return []
  const { cloud } = opened
  const deps: PlannerDeps = {
    ...given,
    ...opened,
    ...machinePolicy(env),
    db,
    log,
    servers: createServers(cloud, log),
    offers: createOffers(cloud, db, log, [env.RGRID_IMAGE_ARCH]),
    facts: createFacts(db, cloud.provider, [env.RGRID_IMAGE_ARCH]),
    pool: DEFAULT_POOL,
    nameOf: (nodeId) => serverName(env.RGRID_INSTALLATION, nodeId),
    meters,
    tell: (nodeId, kind) => bus.publish(controlSubject(nodeId), Control, kind === 'drain' ? { kind, patient: true } : { kind }),
  }
  return createMachineLoops(deps, env.RGRID_PLAN_SECONDS * 1000)
}
