import type { Log } from '#core/service/log.ts'
import type { DatabasePool } from '#store/pool.ts'
import { type Cloud, isForSale } from '../../../scheduler/cloud/cloud.ts'
import type { Caps } from '../../../scheduler/machines/caps.ts'
import { createCollector } from '../../../scheduler/machines/collector.ts'
import { type Patience, serverName } from '../../../scheduler/machines/deps.ts'
import { createFacts } from '../../../scheduler/machines/facts.ts'
import { createOffers } from '../../../scheduler/machines/offers.ts'
import { createPlanner, type PlannerDeps } from '../../../scheduler/machines/planner.ts'
import { createProvisioner } from '../../../scheduler/machines/provisioner.ts'
import { createRemover } from '../../../scheduler/machines/remover.ts'
import { createServers } from '../../../scheduler/machines/servers.ts'
import type { MachinePlan, PlanInput } from '../../../scheduler/plan/plan.ts'
import { createServerSweep } from '../../../scheduler/reaper/servers.ts'

/** The loops about machines, to be run round by round. */
export interface Rounds {
  plan(): Promise<void>
  provision(): Promise<void>
  /** Orders deletions, then looks what came of them. */
  collect(): Promise<void>
  sweep(): Promise<void>
  /** All of them once, in this order. */
  all(): Promise<void>
  told: string[]
  counted: Record<'bought' | 'deleted' | 'server' | 'address', number>
  bootSeconds: number[]
}

/** What a test changes. */
export interface RoundsOptions {
  db: DatabasePool
  cloud: Cloud
  log: Log
  plan(input: PlanInput): MachinePlan
  caps?: Caps
  policy?: Partial<PlannerDeps['policy']>
  patience?: Partial<Patience>
  isLeader?(): boolean
}

const POLICY: PlannerDeps['policy'] = {
  minNodes: 0,
  maxNodes: 10,
  warmSlots: 0,
  maxHourMicrons: null,
  burst: 10,
  cooldownSeconds: 0,
  keep: 'idle',
  idleSeconds: 0,
  marginSeconds: 60,
  enrolSeconds: 300,
  lifetimeSeconds: 3600,
}

/** Fresh loops, as a process that has just started has them, that ask the provider each time and have no patience. */
export function createRounds(options: RoundsOptions): Rounds {
  const { db, cloud, log } = options
  const told: string[] = []
  const bootSeconds: number[] = []
  const counted = { bought: 0, deleted: 0, server: 0, address: 0 }
  const deps: PlannerDeps = {
    db,
    log,
    cloud,
    servers: createServers(cloud, log, { soonMs: 0, quietMs: 0, expectMs: 0, savedPages: 1e9, pageMs: 0 }),
    offers: createOffers(cloud, db, log, ['amd64']),
    caps: options.caps ?? { maxNodes: 10, maxHourMicrons: null },
    patience: { enrolSeconds: 300, lostSeconds: 300, graceSeconds: 0, cellSeconds: 300, limitSeconds: 60, againSeconds: 0, ...options.patience },
    pool: 'default',
    nameOf: (nodeId) => serverName('test', nodeId),
    userData: ({ token }) => JSON.stringify({ token }),
    isLeader: options.isLeader ?? (() => true),
    meters: {
      bought: () => counted.bought++,
      deleted: () => counted.deleted++,
      booted: (seconds) => bootSeconds.push(seconds),
      swept: (kind) => counted[kind]++,
    },
    facts: createFacts(db, cloud.provider, ['amd64']),
    plan: options.plan,
    policy: { ...POLICY, ...options.policy },
    tell: (nodeId, what) => told.push(`${what} ${nodeId}`),
  }
  const { signal } = new AbortController()
  const [plan, provision, sweep] = [createPlanner(deps), createProvisioner(deps), createServerSweep(deps, 0)]
  const [remove, look] = [createRemover(deps), createCollector(deps)]
  const collect = async () => {
    await remove(signal)
    await look(signal)
  }
  return {
    plan: () => plan(signal),
    provision: () => provision(signal),
    collect,
    sweep: () => sweep(signal),
    async all() {
      for (const round of [plan, provision, collect, sweep]) await round(signal)
    },
    told,
    counted,
    bootSeconds,
  }
}

/** A plan that wants so many machines: buys the first that is to be had, drains what is too much, removes what is drained. */
export function planFor(wanted: () => number): (input: PlanInput) => MachinePlan {
  return ({ nodes, offers }) => {
    const plan: MachinePlan = { create: [], drain: [], resume: [], keep: [], remove: [], missingSlots: 0, shortage: null }
    const ending = nodes.filter(({ state }) => state === 'deleting' || state === 'lost')
    const live = nodes.filter((node) => !ending.includes(node))
    for (const { nodeId } of ending) plan.keep.push({ nodeId, reason: 'it is ending' })
    for (const [place, { nodeId, state, usedSlots }] of live.entries()) {
      if (place < wanted()) plan[state === 'draining' ? 'resume' : 'keep'].push({ nodeId, reason: 'it is wanted' })
      else if (state === 'ready') plan.drain.push({ nodeId, reason: 'there are enough' })
      else plan[usedSlots > 0 ? 'keep' : 'remove'].push({ nodeId, reason: 'there are enough' })
    }
    const offer = offers.find(isForSale)
    const count = wanted() - live.length
    if (count > 0 && offer) plan.create.push({ offer, count })
    if (count > 0 && !offer) plan.shortage = { code: 'no_cell', detail: 'nothing is to be had' }
    plan.missingSlots = Math.max(0, count) * 2
    return plan
  }
}
