import type { AttemptFact, Facts, JobFact } from './facts.ts'
import { type CheckResult, checkEach } from './result.ts'

const FINAL_JOB = ['succeeded', 'failed', 'cancelled']
const FINAL_ATTEMPT = ['succeeded', 'failed', 'cancelled', 'lost', 'interrupted']

/** Every submitted job is there, and has ended. */
export function checkFinal(facts: Facts): CheckResult {
  const jobs = new Map(facts.jobs.map((job) => [job.id, job]))
  return checkEach('every job is final', facts.expected.keys(), (id) => {
    const job = jobs.get(id)
    if (!job) return `${id} was accepted and is not there`
    return FINAL_JOB.includes(job.state) && job.finishedAtMs !== null ? undefined : `${id} is ${job.state}`
  })
}

/** Every attempt has one outcome, and a job that of the attempt that decided it. */
export function checkOneOutcome(facts: Facts): CheckResult {
  const byJob = Map.groupBy(facts.attempts, (attempt) => attempt.jobId)
  return checkEach('one accepted outcome for each attempt', facts.jobs, (job) => {
    const attempts = [...(byJob.get(job.id) ?? [])].sort((a, b) => a.number - b.number)
    return [...attempts.flatMap((attempt, i) => describeAttempt(attempt, i + 1, i === attempts.length - 1)), ...describeEnd(job, attempts)]
  })
}

function describeAttempt(attempt: AttemptFact, number: number, isLast: boolean): string[] {
  const name = `attempt ${attempt.id} of ${attempt.jobId}`
  const found: string[] = []
  if (attempt.number !== number) found.push(`${name} has the number ${attempt.number}, it is the ${number}. of its job`)
  if (!FINAL_ATTEMPT.includes(attempt.state) || attempt.cause === null) return [...found, `${name} has no outcome (${attempt.state})`]
  const state = stateOf(attempt)
  if (attempt.state !== state) found.push(`${name} is ${attempt.state}, by its cause ${describe(attempt)} it would be ${state}`)
  if (!isLast && (state === 'succeeded' || state === 'cancelled')) found.push(`${name} is ${state}, and the job was run again`)
  return found
}

function describeEnd(job: JobFact, attempts: readonly AttemptFact[]): string[] {
  const found: string[] = []
  const succeeded = attempts.filter((attempt) => attempt.state === 'succeeded')
  const ids = succeeded.map((attempt) => attempt.id).join(', ') || 'none'
  if (job.state === 'succeeded' && succeeded.length !== 1) found.push(`${job.id} is succeeded with ${succeeded.length} succeeded attempts (${ids}), not one`)
  if (job.state === 'failed' && succeeded.length > 0) found.push(`${job.id} is failed and has a succeeded attempt (${ids})`)
  const last = attempts.at(-1)
  if (job.attemptId !== (last?.id ?? null)) found.push(`${job.id} names ${job.attemptId} as its last attempt, it is ${last?.id ?? 'none'}`)
  if (job.state === 'cancelled' && job.cause !== 'cancelled') found.push(`${job.id} is cancelled by the cause ${job.cause}`)
  // No attempt decides who was cancelled or waited too long.
  if (job.state === 'cancelled' || job.cause === 'queue_timeout' || !FINAL_JOB.includes(job.state)) return found
  if (!last) found.push(`${job.id} is ${job.state} by ${describe(job)} without an attempt`)
  else if (last.cause !== job.cause || last.exitCode !== job.exitCode)
    found.push(`${job.id} ended by ${describe(job)}, its attempt ${last.id} by ${describe(last)}`)
  return found
}

/** Said here once more, not taken from core: this is what core is held against. */
function stateOf({ cause, exitCode }: AttemptFact): string {
  if (cause === 'exit') return exitCode === 0 ? 'succeeded' : 'failed'
  return cause === 'cancelled' || cause === 'lost' || cause === 'interrupted' ? cause : 'failed'
}

function describe({ cause, exitCode }: { cause: string | null; exitCode: number | null }): string {
  return exitCode === null ? `${cause}` : `${cause} ${exitCode}`
}

/** Every job came to the end that it was made for. */
export function checkExpected(facts: Facts): CheckResult {
  const jobs = new Map(facts.jobs.map((job) => [job.id, job]))
  const attempts = Map.groupBy(facts.attempts, (attempt) => attempt.jobId)
  const decided = [...facts.expected].filter(([, { end }]) => end !== null)
  return checkEach('jobs end as they were made to', decided, ([id, { end, minAttempts }]) => {
    const job = jobs.get(id)
    // What is not there, or still open, is said by another check.
    if (!job || !end || !FINAL_JOB.includes(job.state)) return undefined
    const right = job.state === end.state && job.cause === end.cause && (end.exitCode === null || job.exitCode === end.exitCode)
    if (!right) return `${id} was to end ${end.state} by ${describe(end)}, and is ${job.state} by ${describe(job)}`
    const count = attempts.get(id)?.length ?? 0
    return count >= minAttempts ? undefined : `${id} ended ${job.state} after ${count} attempts, it cannot before ${minAttempts}`
  })
}
