import type { AttemptFact, Facts, JobFact } from './facts.ts'
import { type CheckResult, checkEach } from './result.ts'

/** Failures of the job itself: what its own retries are for. */
const OWN = ['exit', 'timeout', 'oom']
/** Trouble of the platform that every run of it may meet; with image, input and output it can be the job's own fault. */
const NEVER_ITS_OWN = ['lost', 'runner_error', 'prepare_timeout']
/** How often trouble of the platform may repeat (docs/JOB_STATES.md). */
const MAX_INFRA_RETRIES = 5

/**
 * The user's retries were spent on the job's own failures only, no more than there are and, before it failed, no fewer.
 * The jobs of a run want every failure retried (`retryOn` as it is by default).
 */
export function checkRetries(facts: Facts): CheckResult {
  const byJob = Map.groupBy(facts.attempts, (attempt) => attempt.jobId)
  return checkEach('no retry of the user is spent on the infrastructure', facts.jobs, (job) => {
    const spent = countSpent(job, byJob.get(job.id) ?? [])
    const found: string[] = []
    if (job.retriesUsed !== spent.retry) found.push(`${job.id} has spent ${job.retriesUsed} retries; its attempts say ${spent.retry}`)
    if (job.infraRetriesUsed !== spent.infra)
      found.push(`${job.id} was run again ${job.infraRetriesUsed} times for the infrastructure; its attempts say ${spent.infra}`)
    if (job.retriesUsed > job.retries) found.push(`${job.id} has spent ${job.retriesUsed} of ${job.retries} retries`)
    if (job.infraRetriesUsed > MAX_INFRA_RETRIES)
      found.push(`${job.id} was run again ${job.infraRetriesUsed} times for the infrastructure, ${MAX_INFRA_RETRIES} are allowed`)
    return [...found, ...describeEarlyEnd(job)]
  })
}

/** An interruption is the platform's own doing and spends nothing; a success or a cancel is no failure. */
function countSpent(job: JobFact, attempts: readonly AttemptFact[]): { retry: number; infra: number } {
  const failed = attempts.filter(({ cause, state }) => cause !== null && cause !== 'interrupted' && cause !== 'cancelled' && state !== 'succeeded')
  const again = failed.filter((attempt) => !decided(job, attempt))
  const retry = again.filter((attempt) => OWN.includes(attempt.cause ?? '')).length
  return { retry, infra: again.length - retry }
}

function describeEarlyEnd(job: JobFact): string[] {
  const by = `${job.id} failed by ${job.cause}`
  if (job.state !== 'failed') return []
  if (OWN.includes(job.cause ?? '') && job.retriesUsed < job.retries) return [`${by} with ${job.retriesUsed} of ${job.retries} retries spent`]
  if (NEVER_ITS_OWN.includes(job.cause ?? '') && job.infraRetriesUsed < MAX_INFRA_RETRIES)
    return [`${by} when it had been run again ${job.infraRetriesUsed} times for the infrastructure, not ${MAX_INFRA_RETRIES}`]
  return []
}

/** An exit code that no script of the run can end with by itself is the infrastructure's doing. */
export function checkExitCodes(facts: Facts): CheckResult {
  const exits = facts.attempts.filter((attempt) => attempt.cause === 'exit')
  return checkEach('exit codes are the scripts’ own', exits, (attempt) => {
    const expected = facts.expected.get(attempt.jobId)
    if (!expected || expected.exitCodes.includes(attempt.exitCode as number)) return undefined
    return `attempt ${attempt.id} of ${attempt.jobId} exited with ${attempt.exitCode}; its script ends with ${expected.exitCodes.join(' or ')}`
  })
}

/** Whether the job ended with this attempt: both were written down at once. */
function decided(job: JobFact, attempt: AttemptFact): boolean {
  return job.attemptId === attempt.id && job.finishedAtMs !== null && job.finishedAtMs === attempt.finishedAtMs
}
