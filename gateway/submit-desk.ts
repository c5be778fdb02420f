import type { JobView } from '#core/api.ts'
import { RGridError } from '#core/errors.ts'
import { isAway } from '#core/service/away.ts'
import type { Deed } from '#store/audit.ts'
import type { EffectiveLimits } from '#store/limits.ts'
import { type NewJob, storeJobs, storeJobsAlone, viewNewJob } from '#store/new-jobs.ts'
import type { Tx } from '#store/pool.ts'
import type { TenantDb } from '#store/tenant.ts'
import { type Demand, needsAdmission, openAdmission } from '#store/usage.ts'
import type { Principal } from './access/caller.ts'
import { limitError } from './limits/admission.ts'
import { createStorageWatch, type StorageWatch } from './limits/storage-watch.ts'

/** A job that somebody submits. */
export interface Submit {
  principal: Principal
  db: TenantDb
  limits: EffectiveLimits
  job: NewJob
  deed: Deed
}

/** Stores jobs that are submitted one by one. */
export interface SubmitDesk {
  /** Throws `limit_exceeded` when it does not fit into what may be open, or be spent, and while storage is full. */
  submit(wish: Submit): Promise<JobView>
}

interface Waiting extends Submit {
  resolve(view: JobView): void
  reject(error: unknown): void
}

/** So many are stored in one transaction at most. */
const MOST = 200

/**
 * All submits of a project that wait in this process are stored together: while a round is at the database the next one
 * gathers. A quiet moment's submit waits for nobody, a busy one's shares the price of a transaction with others. `stored` is
 * told how many jobs can be claimed.
 */
export function createSubmitDesk(stored: (queued: number) => void): SubmitDesk {
  /** By project, while a round of it is at the database: those who wait for the next one. */
  const lines = new Map<string, Waiting[]>()
  const storage = createStorageWatch()

  async function serve(projectId: string, line: Waiting[]): Promise<void> {
    while (line.length > 0) await storeRound(line.splice(0, MOST))
    lines.delete(projectId)
  }

  async function storeRound(round: Waiting[]): Promise<void> {
    const [first] = round
    if (!first) return
    try {
      const { createdAt, taken, refused } = await store(first, round, storage)
      for (const wish of taken) wish.resolve(viewNewJob(wish.job, wish.principal.projectSlug, createdAt))
      for (const [wish, error] of refused) wish.reject(error)
      const queued = taken.filter((wish) => wish.job.state === 'queued').length
      if (queued > 0) stored(queued)
    } catch (error) {
      // One that cannot be stored must not take others with it; when nothing can be, nobody asks again.
      if (round.length === 1 || isAway(error) || error instanceof RGridError) for (const wish of round) wish.reject(error)
      else for (const wish of round) await storeRound([wish])
    }
  }

  return {
    submit(wish) {
      const { promise, resolve, reject } = Promise.withResolvers<JobView>()
      const { projectId } = wish.principal
      const waiting = { ...wish, resolve, reject }
      const line = lines.get(projectId)
      if (line) line.push(waiting)
      else {
        const first = [waiting]
        lines.set(projectId, first)
        void serve(projectId, first)
      }
      return promise
    },
  }
}

interface Stored {
  createdAt: string
  taken: readonly Waiting[]
  refused: [Waiting, unknown][]
}

/** Without an admission there is hardly anything to ask before, and the statement that stores is a transaction of its own. */
async function store({ db, principal, limits }: Waiting, round: readonly Waiting[], storage: StorageWatch): Promise<Stored> {
  if (needsAdmission(limits)) return db.transaction((tx) => storeAdmitted(tx, principal, limits, round))
  const full = await storage.find(db, principal, limits)
  if (full) return { createdAt: '', taken: [], refused: round.map((wish) => [wish, limitError(full, demandOf(wish))]) }
  return { createdAt: await storeJobsAlone(db, principal, ...rowsOf(round)), taken: round, refused: [] }
}

async function storeAdmitted(tx: Tx, principal: Principal, limits: EffectiveLimits, round: readonly Waiting[]): Promise<Stored> {
  const admission = await openAdmission(tx, principal, limits)
  const taken: Waiting[] = []
  const refused: [Waiting, unknown][] = []
  for (const wish of round) {
    const demand = demandOf(wish)
    const exceeded = admission.admit(demand)
    if (exceeded) refused.push([wish, limitError(exceeded, demand)])
    else taken.push(wish)
  }
  await admission.settle()
  if (taken.length === 0) return { createdAt: '', taken, refused }
  return { createdAt: await storeJobs(tx, principal, null, ...rowsOf(taken)), taken, refused }
}

function demandOf({ job }: Submit): Demand {
  return { jobs: 1, microns: job.reserved }
}

function rowsOf(round: readonly Waiting[]): [NewJob[], Deed[]] {
  return [round.map((wish) => wish.job), round.map((wish) => wish.deed)]
}
