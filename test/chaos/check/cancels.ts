import type { AttemptFact, Facts, JobFact } from './facts.ts'
import { type CheckResult, checkEach } from './result.ts'

/** A node may start what was cancelled a moment ago; after this long it must have heard of it. */
const HEARD_WITHIN_MS = 15_000

/**
 * Who cancelled gets cancelled, nobody else is, and nothing of it begins any more. No batch of the run has `maxFailures`,
 * which would cancel by itself.
 */
export function checkCancels(facts: Facts): CheckResult {
  const byJob = Map.groupBy(facts.attempts, (attempt) => attempt.jobId)
  const isAccepted = (job: JobFact) => (facts.expected.get(job.id)?.cancelAcceptedAtMs ?? null) !== null
  const concerned = facts.jobs.filter((job) => job.cancelRequestedAtMs !== null || job.state === 'cancelled' || isAccepted(job))
  return checkEach('nothing of a cancelled job begins after the cancel', concerned, (job) => {
    const atMs = job.cancelRequestedAtMs
    if (atMs === null)
      return isAccepted(job) ? `the cancel of ${job.id} was accepted, and its row knows nothing of it` : `${job.id} is cancelled, and nobody asked`
    const found = job.state === 'cancelled' ? [] : [`${job.id} was cancelled while it was open, and is ${job.state}`]
    for (const attempt of byJob.get(job.id) ?? []) found.push(...beganAfter(facts, job, attempt, atMs))
    return found
  })
}

function beganAfter(facts: Facts, job: JobFact, attempt: AttemptFact, atMs: number): string[] {
  const starts = facts.witnesses.get(`${job.id}.${attempt.number}`)?.starts ?? []
  const found = attempt.assignedAtMs > atMs ? [`attempt ${attempt.id} of ${job.id} was claimed ${attempt.assignedAtMs - atMs} ms after the cancel`] : []
  for (const start of starts)
    if (start > atMs + HEARD_WITHIN_MS) found.push(`the container of attempt ${attempt.id} of ${job.id} began ${start - atMs} ms after the cancel`)
  return found
}
