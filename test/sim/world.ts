import type { Priced } from '../../scheduler/cloud/cloud.ts'
import type { MachinePlan, NodeFacts, PlanInput, Policy, Waiting } from '../../scheduler/plan/plan.ts'
import { createAgenda } from './agenda.ts'
import { createMachines, type Machine } from './machines.ts'
import { createRandom } from './random.ts'
import type { Arrival, Trace } from './trace.ts'

/** What decides about machines. */
export type Planner = (input: PlanInput) => MachinePlan

/** What a world is made of. */
export interface WorldOptions {
  offers: readonly Priced[]
  policy: Policy
  planSeconds: number
  seed: number
}

/** What came of a trace. */
export interface Outcome {
  /** How long each job waited, in seconds, in the order in which they started. */
  waits: number[]
  /** All that arrived, with what came of the planner's own doing. */
  arrivals: Arrival[]
  microns: number
  paidHours: number
  /** Minutes in which a machine was paid for and ran nothing. */
  idleMinutes: number
  machines: number
  ticks: number
}

/** A job that waits or runs. */
export interface Job extends Arrival {
  startedAtSeconds: number
}

const ARCHS = ['amd64'] as const
/** What jobs are expected to take of whose size none has ended yet. */
const UNKNOWN_SECONDS = 60

/**
 * Replays a trace against a planner: a discrete-event simulation with a clock of its own. Orders take 1 to 3 s to be placed,
 * machines 45 to 60 s to boot, deletions 5 to 15 s; each started hour is paid whole, until the deletion is done. Jobs are
 * handed out as scheduler/plan-claims.ts does it: in their order, each to the node with most free slots. What jobs are
 * expected to take is the mean of those of their size that ended before. Runs until the last machine is gone.
 */
export function simulate(trace: Trace, plan: Planner, options: WorldOptions): Outcome {
  const { offers, policy, planSeconds } = options
  const random = createRandom(options.seed)
  const agenda = createAgenda()
  const fleet = createMachines()
  const past = new Map<string, { seconds: number; jobs: number }>()
  const outcome: Outcome = { waits: [], arrivals: [], microns: 0, paidHours: 0, idleMinutes: 0, machines: 0, ticks: 0 }
  let queue: Job[] = []
  let boughtAtMs: number | null = null
  let [now, next, nextTick] = [0, 0, 0]

  for (;;) {
    const arrivesAt = trace.arrivals[next]?.atSeconds ?? Number.POSITIVE_INFINITY
    const tickAt = tickDue()
    now = Math.min(arrivesAt, agenda.nextAt(), tickAt)
    if (now === Number.POSITIVE_INFINITY) return outcome
    if (now === arrivesAt) arrive(trace.arrivals[next++] as Arrival)
    else if (now === agenda.nextAt()) agenda.run()
    else tick()
  }

  /** The next round that could change something: while nothing waits or runs, that is when the first node may be due. */
  function tickDue(): number {
    if (queue.length === 0 && fleet.all.size === 0) return Number.POSITIVE_INFINITY
    const at = queue.length > 0 || !fleet.allIdle() ? nextTick : Math.max(nextTick, fleet.firstDue(policy))
    return Math.ceil(Math.max(at, now) / planSeconds) * planSeconds
  }

  function arrive(arrival: Arrival): void {
    outcome.arrivals.push(arrival)
    queue.push({ ...arrival, startedAtSeconds: 0 })
    claim()
  }

  function claim(): void {
    if (queue.length > 0 && fleet.freeSlots() > 0) queue = queue.filter((job) => !start(job))
  }

  function start(job: Job): boolean {
    const machine = fleet.roomFor(job)
    if (!machine) return false
    job.startedAtSeconds = now
    outcome.waits.push(now - job.atSeconds)
    fleet.start(machine, job, now)
    agenda.add(now + job.durationSeconds, () => {
      const kind = kindOf(job)
      const seen = past.get(kind) ?? { seconds: 0, jobs: 0 }
      past.set(kind, { seconds: seen.seconds + job.durationSeconds, jobs: seen.jobs + 1 })
      fleet.end(machine, job, now)
      claim()
    })
    return true
  }

  function tick(): void {
    nextTick = now + planSeconds
    outcome.ticks++
    const nodes = [...fleet.all.values()].map(factsOf)
    const made = plan({ nowMs: now * 1000, waiting: groupWaiting(), nodes, offers, policy, boughtAtMs })
    for (const { nodeId } of made.drain) fleet.setState(nodeId, 'draining', now)
    for (const { nodeId } of made.resume) fleet.setState(nodeId, 'ready', now)
    for (const { nodeId } of made.remove) remove(nodeId)
    for (const { offer, count } of made.create) for (let i = 0; i < count; i++) buy(offer)
    if (made.create.length > 0) boughtAtMs = now * 1000
    if (made.resume.length > 0) claim()
  }

  function buy(offer: Priced): void {
    outcome.machines++
    const machine = fleet.add(offer, now)
    const orderedAt = now + random.between(1, 3)
    const readyAt = orderedAt + random.between(45, 60)
    agenda.add(orderedAt, () => {
      if (fleet.all.has(machine.nodeId)) Object.assign(machine, { state: 'booting', billedFromSeconds: now, stateAtSeconds: now })
    })
    agenda.add(readyAt, () => {
      if (machine.state !== 'booting') return
      Object.assign(machine, { state: 'ready', stateAtSeconds: now, idleSinceSeconds: now })
      claim()
    })
  }

  function remove(nodeId: string): void {
    const machine = fleet.all.get(nodeId)
    if (!machine || machine.jobs.size > 0) return
    if (machine.state === 'planned') {
      fleet.all.delete(nodeId)
      return
    }
    fleet.setState(nodeId, 'deleting', now)
    agenda.add(now + random.between(5, 15), () => {
      fleet.all.delete(nodeId)
      const seconds = now - (machine.billedFromSeconds ?? now)
      const hours = Math.ceil(seconds / 3600)
      outcome.paidHours += hours
      outcome.microns += hours * machine.offer.hourMicrons
      outcome.idleMinutes += (hours * 3600 - machine.busySeconds) / 60
      const more = trace.onGone?.(now)
      if (more) agenda.add(more.atSeconds, () => arrive(more))
    })
  }

  function kindOf({ slots, memoryBytes }: Arrival): string {
    return `${slots} ${memoryBytes}`
  }

  function expected(arrival: Arrival): number {
    const seen = past.get(kindOf(arrival))
    return seen ? seen.seconds / seen.jobs : UNKNOWN_SECONDS
  }

  function groupWaiting(): Waiting[] {
    const groups = new Map<string, Waiting>()
    for (const job of queue) {
      const { slots, memoryBytes } = job
      const group = groups.get(kindOf(job)) ?? {
        slots,
        memoryBytes,
        archs: ARCHS,
        jobs: 0,
        oldestWaitSeconds: now - job.atSeconds,
        expectedSeconds: expected(job),
      }
      group.jobs++
      groups.set(kindOf(job), group)
    }
    return [...groups.values()]
  }

  function factsOf(machine: Machine): NodeFacts {
    const { nodeId, state, offer, usedSlots, usedMemoryBytes } = machine
    let busyUntil = 0
    for (const job of machine.jobs) busyUntil = Math.max(busyUntil, endOf(job))
    return {
      nodeId,
      state,
      arch: offer.arch,
      serverType: offer.serverType,
      location: offer.location,
      slots: offer.slots,
      memoryBytes: offer.memoryBytes,
      hourMicrons: offer.hourMicrons,
      usedSlots,
      usedMemoryBytes,
      busyUntilMs: machine.jobs.size === 0 ? null : busyUntil * 1000,
      billedFromMs: machine.billedFromSeconds === null ? null : machine.billedFromSeconds * 1000,
      stateAtMs: machine.stateAtSeconds * 1000,
      idleSinceMs: machine.idleSinceSeconds === null ? null : machine.idleSinceSeconds * 1000,
      drainRequested: false,
    }
  }

  /** As scheduler/machines/facts.ts: what takes longer than expected is given a quarter of what it has taken. */
  function endOf(job: Job): number {
    const due = job.startedAtSeconds + expected(job)
    return due > now ? due : now + Math.max(1, (now - job.startedAtSeconds) / 4)
  }
}
