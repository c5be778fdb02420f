import type { JobView } from '#core/api.ts'
import { RGridError } from '#core/errors.ts'
import { isAway } from '#core/service/away.ts'
import type { Deed } from '#store/audit.ts'
import type { EffectiveLimits } from '#store/limits.ts'
import { type NewJob, storeJobs, viewNewJob } from '#store/new-jobs.ts'
import type { Tx } from '#store/pool.ts'
import type { TenantDb } from '#store/tenant.ts'
import { openAdmission } from '#store/usage.ts'
import type { Principal } from './access/caller.ts'
import { limitError } from './limits/admission.ts'

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
  /** Throws `limit_exceeded` when it does not fit into what may be open, or be spent. */
  submit(wish: Submit): Promise<JobView>
}

interface Waiting extends Submit {
  resolve(view: JobView): void
  reject(error: unknown): void
}

/** So many are stored in one transaction at most. */
const MOST = 200
/** Of one project so many rounds are at the database at once. */
const AT_ONCE = 2

/**
 * All submits of a project that wait in this process are stored together: while rounds are at the database the next one
 * gathers. A quiet moment's submit waits for nobody, a busy one's shares the price of a transaction with others. `stored` is
 * told how many jobs can be claimed.
 */
export function createSubmitDesk(stored: (queued: number) => void): SubmitDesk {
  const lines = new Map<string, { waiting: Waiting[]; rounds: number }>()

  async function run(projectId: string, line: { waiting: Waiting[]; rounds: number }): Promise<void> {
    if (line.rounds >= AT_ONCE) return
    line.rounds++
    while (line.waiting.length > 0) await storeRound(line.waiting.splice(0, MOST))
    line.rounds--
    if (line.rounds === 0 && line.waiting.length === 0) lines.delete(projectId)
  }

  async function storeRound(round: Waiting[]): Promise<void> {
    const [first] = round
    if (!first) return
    try {
      const { createdAt, taken, refused } = await first.db.transaction((tx) => store(tx, round))
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
      const line = lines.get(wish.principal.projectId) ?? { waiting: [], rounds: 0 }
      lines.set(wish.principal.projectId, line)
      line.waiting.push({ ...wish, resolve, reject })
      void run(wish.principal.projectId, line)
      return promise
    },
  }
}

async function store(tx: Tx, round: readonly Waiting[]): Promise<{ createdAt: string; taken: Waiting[]; refused: [Waiting, unknown][] }> {
  const { principal, limits } = round[0] as Waiting
  const admission = await openAdmission(tx, principal, limits)
  const taken: Waiting[] = []
  const refused: [Waiting, unknown][] = []
  for (const wish of round) {
    const demand = { jobs: 1, microns: wish.job.reserved }
    const exceeded = admission.admit(demand)
    if (exceeded) refused.push([wish, limitError(exceeded, demand)])
    else taken.push(wish)
  }
  await admission.settle()
  if (taken.length === 0) return { createdAt: '', taken, refused }
  const createdAt = await storeJobs(
    tx,
    principal,
    null,
    taken.map((wish) => wish.job),
    taken.map((wish) => wish.deed),
  )
  return { createdAt, taken, refused }
}
