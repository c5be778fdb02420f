import { CAPACITY_SHORTAGES, type CapacityShortage, type CellTrouble, type Reason, type ReasonOf } from '#core/explain.ts'
import type { JobFacts } from './job-facts.ts'
import type { CellFacts, Coming, MachineFacts, Machines, Size, Standing } from './machines.ts'
import type { QueueFacts } from './queue.ts'

/** What is known of the world around a job that waits. */
export interface World {
  machines: MachineFacts
  queue: QueueFacts
}

/** More cells than these are not listed. */
const MAX_CELLS = 20

/**
 * Why a job that is queued is not running: the first that holds, in the order of docs/EXPLAIN.md. What no waiting will change
 * comes first, then what stops everything, then what stops this account, then machines.
 */
export function reasonOfQueued(job: JobFacts, { machines, queue }: World): Reason {
  const place = placeOf(job)
  return (
    tooLarge(job, machines) ??
    (machines.led ? undefined : paused('no_scheduler')) ??
    (queue.quota ? ({ code: 'quota', details: { ...queue.quota, ...place } } as const) : undefined) ??
    machineReason(job, machines, () => ({
      code: 'queue',
      details: {
        ...place,
        estimatedSeconds: queue.perSecond === null ? null : Math.ceil((place.ahead + 1) / queue.perSecond),
        again: job.attempt === null ? null : { cause: job.attempt.cause ?? 'lost', attempts: job.attempt.number },
      },
    }))
  )
}

/** What the machines make of it: a job goes where there is room; else to one that comes; else it is told why none comes. */
function machineReason(job: JobFacts, facts: MachineFacts, queue: () => Reason): Reason {
  const fitting = facts.machines.filter((machines) => fits(job, machines))
  const standing = (kind: Standing) => fitting.filter((machines) => machines.standing === kind)
  const working = standing('working')
  if (working.some((machines) => machines.freeSlots >= job.slots && machines.freeMemoryBytes >= job.memoryBytes)) return queue()
  const lack = noMoreMachines(job, facts)
  // What is only planned does not come while the provider sells nothing.
  const isPlanHeld = lack?.code === 'capacity' && lack.details.shortage !== 'max_nodes'
  const coming = facts.coming.filter(({ state }) => state !== 'planned' || !isPlanHeld)
  const booting = bootingFor(job, coming, working.length > 0 || lack !== undefined)
  if (booting) return booting
  if (lack) return lack
  if (working.length > 0) return queue()
  if (standing('unheard').length > 0) return paused('unheard')
  if (standing('drained').length > 0) return paused('drained')
  if (standing('cordoned').length > 0) return paused('cordoned')
  // One that may come back would hold it; whether one is bought is another question.
  const isBought = facts.cells.some((cell) => fits(job, cell))
  return {
    code: 'no_nodes',
    details: { provider: isBought ? (facts.scaling?.provider ?? null) : null, lost: total(standing('lost')), leaving: total(standing('leaving')) },
  }
}

/** Neither a machine that there is, comes, or can be bought would hold it. Where there is none at all nothing is said of sizes. */
function tooLarge(job: JobFacts, { machines, coming, cells }: MachineFacts): ReasonOf<'too_large'> | undefined {
  const all: Size[] = [...machines, ...coming, ...cells]
  if (all.length === 0 || all.some((size) => fits(job, size))) return undefined
  const share = (size: Size) => Math.min(size.slots / job.slots, size.memoryBytes / job.memoryBytes)
  const [closest] = all.sort((a, b) => share(b) - share(a) || b.slots - a.slots || b.memoryBytes - a.memoryBytes) as [Size]
  const { slots, memoryBytes } = closest
  return { code: 'too_large', details: { slots: job.slots, memoryBytes: job.memoryBytes, largest: { slots, memoryBytes } } }
}

/**
 * A machine on its way that may take it. With `others` to wait for, only where its turn comes with those that come: a machine
 * with two slots says nothing to the tenth in the queue.
 */
function bootingFor(job: JobFacts, coming: readonly Coming[], others: boolean): ReasonOf<'booting'> | undefined {
  const fitting = coming.filter((machine) => fits(job, machine))
  const [first] = fitting
  if (!first) return undefined
  const slots = fitting.reduce((sum, machine) => sum + machine.slots, 0)
  if (others && (job.ahead === null || job.ahead >= slots)) return undefined
  const { nodeId, state, serverType, location } = first
  return { code: 'booting', details: { nodeId, state, serverType, location, since: iso(first.sinceMs), readyAt: iso(first.readyAtMs) } }
}

/** Why no machine is bought for it; undefined: nothing stands against it, or nothing is ever bought. */
function noMoreMachines(job: JobFacts, { scaling, cells }: MachineFacts): ReasonOf<'capacity' | 'budget'> | undefined {
  if (!scaling) return undefined
  const { provider, shortage, shortageDetail, leftMicrons } = scaling
  const since = scaling.shortageSinceMs === null ? null : iso(scaling.shortageSinceMs)
  const retryAt = scaling.pausedUntilMs === null ? null : iso(scaling.pausedUntilMs)
  // What the planner lacks is what all jobs together lack: whether this one could have a cell, and pay for it, is asked of its own.
  const possible = cells.filter((cell) => fits(job, cell))
  const toBeHad = possible.filter((cell) => cell.available)
  const isTooDear = ({ hourMicrons }: CellFacts) => leftMicrons !== null && (hourMicrons ?? 0) > leftMicrons
  if (toBeHad.length > 0 && toBeHad.every(isTooDear)) return { code: 'budget', details: { provider, since: shortage === 'max_spend' ? since : null } }
  const known = CAPACITY_SHORTAGES.find((code) => code === shortage && code !== 'no_cell')
  const noCell = possible.length > 0 && toBeHad.length === 0
  const code: CapacityShortage | undefined = known ?? (noCell ? 'no_cell' : undefined)
  if (code === undefined) return undefined
  // What the planner says of its own limits counts what everybody wants; what the provider says is nobody's secret,
  // but what is wrong with the operator's configuration is the operator's.
  const ofProvider = code !== 'max_nodes' && code !== 'no_cell' && code !== 'refused' && code !== 'boot_failing'
  const troubled = possible.filter((cell) => !cell.available || cell.errorCode !== null).slice(0, MAX_CELLS)
  return { code: 'capacity', details: { provider, shortage: code, error: ofProvider ? shortageDetail : null, since, retryAt, cells: troubled.map(troubleOf) } }
}

function troubleOf(cell: CellFacts): CellTrouble {
  return {
    serverType: cell.serverType,
    location: cell.location,
    error: cell.errorCode === null ? null : { code: cell.errorCode, message: cell.errorMessage },
    retryAt: cell.retryAtMs === null ? null : iso(cell.retryAtMs),
  }
}

function placeOf(job: JobFacts): { ahead: number; orMore: boolean } {
  return { ahead: job.ahead ?? job.aheadMost, orMore: job.ahead === null }
}

function paused(cause: ReasonOf<'paused'>['details']['cause']): ReasonOf<'paused'> {
  return { code: 'paused', details: { cause } }
}

function fits(job: Size, size: Size): boolean {
  return job.slots <= size.slots && job.memoryBytes <= size.memoryBytes
}

function total(machines: readonly Machines[]): number {
  return machines.reduce((sum, { count }) => sum + count, 0)
}

function iso(ms: number): string {
  return new Date(ms).toISOString()
}
