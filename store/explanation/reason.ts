import type { Reason } from '#core/explain.ts'
import { MAX_INFRA_RETRIES, spendsRetry } from '#core/job/outcome.ts'
import type { LIVE_ATTEMPT_STATES } from '#core/job/state.ts'
import type { JobFacts } from './job-facts.ts'
import { reasonOfQueued, type World } from './waiting.ts'

/** What is known beside the job: of a batch that holds it back, and of the world for one that waits for it. */
export interface Surroundings {
  batches: ReadonlyMap<string, { parallel: number; underWay: number }>
  world: World | undefined
}

/** Whether the reason of a job can depend on the world. */
export function needsWorld(job: Pick<JobFacts, 'state' | 'holdUntilMs'>): boolean {
  return job.state === 'queued' || job.holdUntilMs !== null
}

/** The one reason why a job is where it is. The facts are of one look at the database. */
export function reasonOf(job: JobFacts, { batches, world }: Surroundings, nowMs: number): Reason {
  switch (job.state) {
    case 'running':
      return runningReason(job)
    case 'held':
      return heldReason(job, batches, world, nowMs)
    case 'queued':
      return reasonOfQueued(job, known(world, job))
    default:
      return { code: 'final', details: { state: job.state, cause: known(job.cause, job), exitCode: job.exitCode, message: job.message } }
  }
}

function runningReason(job: JobFacts): Reason {
  const attempt = known(job.attempt, job)
  return {
    code: 'running',
    details: {
      attemptId: attempt.id,
      attempt: attempt.number,
      nodeId: attempt.nodeId,
      phase: attempt.state as (typeof LIVE_ATTEMPT_STATES)[number],
      since: attempt.since,
      cancelRequested: job.cancelRequested,
    },
  }
}

function heldReason(job: JobFacts, batches: Surroundings['batches'], world: World | undefined, nowMs: number): Reason {
  if (job.hold === 'batch') {
    const batchId = known(job.batchId, job)
    return { code: 'parallelism', details: { batchId, ...known(batches.get(batchId), job) } }
  }
  const atMs = known(job.holdUntilMs, job)
  // The leading scheduler lets it go on.
  if (atMs <= nowMs && !known(world, job).machines.led) return { code: 'paused', details: { cause: 'no_scheduler' } }
  const at = new Date(atMs).toISOString()
  if (job.hold === 'not_before') return { code: 'not_before', details: { at } }
  const cause = known(known(job.attempt, job).cause, job)
  return spendsRetry(cause)
    ? { code: 'backoff', details: { cause, spends: 'retry', retry: job.retriesUsed, of: job.retries, at } }
    : { code: 'backoff', details: { cause, spends: 'infra', retry: job.infraRetriesUsed, of: MAX_INFRA_RETRIES, at } }
}

/** What the constraints of the tables promise. */
function known<T>(fact: T | null | undefined, job: JobFacts): T {
  if (fact === null || fact === undefined) throw new Error(`job ${job.jobId} is ${job.state}, and what belongs to that is not there`)
  return fact
}
