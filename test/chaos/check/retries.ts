import type { AttemptFact, Facts, JobFact } from './facts.ts'
import { type CheckResult, checkEach } from './result.ts'

const OWN = ['exit', 'timeout', 'oom']

/** The user's retries were spent on the job's own failures only, and no more than there are. */
export function checkRetries(facts: Facts): CheckResult {
  const byJob = Map.groupBy(facts.attempts, (attempt) => attempt.jobId)
  return checkEach('no retry of the user is spent on the infrastructure', facts.jobs, (job) => {
    const spent = { retry: 0, infra: 0 }
    for (const attempt of byJob.get(job.id) ?? []) {
      if (decided(job, attempt) || attempt.cause === 'interrupted') continue
      spent[OWN.includes(attempt.cause ?? '') ? 'retry' : 'infra']++
    }
    const found: string[] = []
    if (job.retriesUsed !== spent.retry) found.push(`${job.id} has spent ${job.retriesUsed} retries; its attempts say ${spent.retry}`)
    if (job.infraRetriesUsed !== spent.infra)
      found.push(`${job.id} was run again ${job.infraRetriesUsed} times for the infrastructure; its attempts say ${spent.infra}`)
    if (job.retriesUsed > job.retries) found.push(`${job.id} has spent ${job.retriesUsed} of ${job.retries} retries`)
    return found
  })
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
