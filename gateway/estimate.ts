import type { Estimate } from '#core/cost-api.ts'
import type { ResolvedSpec } from '#core/job/resolve.ts'
import { workloadOf } from '#core/job/workload.ts'
import { worstCase } from '#core/money.ts'
import { cheapestSlotHour, durationsOfImage, durationsOfWorkload } from '#store/history.ts'
import type { Db } from '#store/pool.ts'

/**
 * What so many jobs of a spec are likely to take and cost, by those of the project that succeeded before: with the same script, or
 * if there are none with the same runtime. What was never run is not guessed at; its worst case is known all the same.
 */
export async function estimateJobs(db: Db, projectId: string, spec: ResolvedSpec, jobs: number, slotHourMicrons: number): Promise<Estimate> {
  const sameScript = await durationsOfWorkload(db, projectId, workloadOf(spec))
  const known = sameScript ?? (await durationsOfImage(db, projectId, spec.image))
  const bought = await cheapestSlotHour(db, spec.slots)
  const worst = worstCase(spec, slotHourMicrons)
  const reserveMicrons = worst.jobMicrons * jobs
  if (!known) return { basis: null, n: 0, jobs, slots: spec.slots, seconds: null, chargeMicrons: null, costMicrons: null, reserveMicrons }
  const price = (perSlotHour: number, most: number) => {
    const of = (seconds: number) => Math.min(most, Math.ceil((seconds * spec.slots * perSlotHour) / 3600)) * jobs
    return { median: of(known.median), p90: of(known.p90) }
  }
  const round = (seconds: number) => Math.round(seconds * 1000) / 1000
  return {
    basis: sameScript ? 'script' : 'runtime',
    n: known.n,
    jobs,
    slots: spec.slots,
    seconds: { median: round(known.median), p90: round(known.p90) },
    // Never more than is reserved for an attempt.
    chargeMicrons: price(slotHourMicrons, worst.attemptMicrons),
    costMicrons: bought === null ? null : price(bought, Number.MAX_SAFE_INTEGER),
    reserveMicrons,
  }
}
