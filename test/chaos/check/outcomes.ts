import type { AttemptFact, Facts, JobFact } from './facts.ts'
import { type CheckResult, checkEach } from './result.ts'

const FINAL_JOB = ['succeeded', 'failed', 'cancelled']
const FINAL_ATTEMPT = ['succeeded', 'failed', 'cancelled', 'lost', 'interrupted']
/** A node may start what was cancelled a moment ago; after this long it must have heard of it. */
const HEARD_WITHIN_MS = 15_000

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
    const attempts = byJob.get(job.id) ?? []
    const open = attempts.filter((attempt) => !FINAL_ATTEMPT.includes(attempt.state) || attempt.cause === null || attempt.finishedAtMs === null)
    const found = open.map((attempt) => `attempt ${attempt.id} of ${job.id} has no outcome (${attempt.state})`)
    const succeeded = attempts.filter((attempt) => attempt.state === 'succeeded').length
    if (job.state === 'succeeded' && succeeded !== 1) found.push(`${job.id} is succeeded with ${succeeded} succeeded attempts`)
    if (job.state === 'failed' && succeeded > 0) found.push(`${job.id} is failed and has a succeeded attempt`)
    const deciding = attempts.find((attempt) => attempt.id === job.attemptId)
    if (job.state !== 'cancelled' && deciding && (deciding.cause !== job.cause || deciding.exitCode !== job.exitCode))
      found.push(`${job.id} ended ${job.cause} ${job.exitCode}, its attempt ${deciding.id} ${deciding.cause} ${deciding.exitCode}`)
    return found
  })
}

/** What was accepted is what the containers say that they did. */
export function checkWitnesses(facts: Facts): CheckResult {
  const known = new Set(facts.attempts.map((attempt) => `${attempt.jobId}.${attempt.number}`))
  const result = checkEach('outcomes are what the containers did', facts.attempts, (attempt) => compareWitness(facts, attempt))
  for (const name of facts.witnesses.keys()) if (!known.has(name)) result.violations.push(`a container ran as ${name}, and there is no such attempt`)
  return result
}

function compareWitness(facts: Facts, attempt: AttemptFact): string | undefined {
  const witness = facts.witnesses.get(`${attempt.jobId}.${attempt.number}`) ?? { starts: [], ends: [] }
  const name = `attempt ${attempt.id} (${attempt.jobId}.${attempt.number})`
  if (witness.starts.length > 1) return `${name} ran ${witness.starts.length} times`
  if (attempt.cause === 'exit') {
    const codes = witness.ends.map((end) => end.code)
    if (witness.starts.length === 0) return `${name} is said to have exited with ${attempt.exitCode}, and never ran`
    if (codes.length !== 1 || codes[0] !== attempt.exitCode)
      return `${name} is said to have exited with ${attempt.exitCode}; the container says ${codes.join(', ') || 'nothing'}`
  }
  if (attempt.cause === 'timeout' && witness.starts.length === 0) return `${name} is said to have run too long, and never ran`
  return undefined
}

/** Every job came to the end that it was made for. */
export function checkExpected(facts: Facts): CheckResult {
  const jobs = new Map(facts.jobs.map((job) => [job.id, job]))
  return checkEach('jobs end as they were made to', facts.expected, ([id, { end }]) => {
    const job = jobs.get(id)
    if (!job || end === null) return undefined
    const right = job.state === end.state && job.cause === end.cause && (end.exitCode === null || job.exitCode === end.exitCode)
    return right ? undefined : `${id} was to end ${end.state} ${end.cause} ${end.exitCode}, and is ${job.state} ${job.cause} ${job.exitCode}`
  })
}

/** Who cancelled gets cancelled, and nothing of it begins any more. */
export function checkCancels(facts: Facts): CheckResult {
  const byJob = Map.groupBy(facts.attempts, (attempt) => attempt.jobId)
  const cancelled = facts.jobs.filter((job) => job.cancelRequestedAtMs !== null)
  return checkEach('nothing of a cancelled job begins after the cancel', cancelled, (job) => {
    const atMs = job.cancelRequestedAtMs as number
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
