import type { AttemptFact, EventFact, Facts, JobFact } from './facts.ts'
import { type CheckResult, checkEach } from './result.ts'

/** From which states an event of a job may come, and which it leads to: docs/JOB_STATES.md. Submitted is the first, and comes from none. */
export const JOB_EVENTS: Readonly<Record<string, { from: readonly string[]; to: readonly string[] }>> = {
  'job.submitted': { from: ['none'], to: ['held', 'queued'] },
  'job.queued': { from: ['held'], to: ['queued'] },
  'job.assigned': { from: ['queued'], to: ['running'] },
  'job.started': { from: ['running'], to: ['running'] },
  'job.cancel_requested': { from: ['running'], to: ['running'] },
  'job.requeued': { from: ['running'], to: ['held', 'queued'] },
  'job.succeeded': { from: ['running'], to: ['succeeded'] },
  'job.failed': { from: ['running', 'queued'], to: ['failed'] },
  'job.cancelled': { from: ['held', 'queued', 'running'], to: ['cancelled'] },
}

/** The events of a job tell one life: submitted first, one end and that last, each attempt assigned, started, ended, each once. */
export function checkLives(facts: Facts): CheckResult {
  const eventsOf = Map.groupBy(facts.events, (event) => event.objectId)
  const attemptsOf = Map.groupBy(facts.attempts, (attempt) => attempt.jobId)
  return checkEach('the events of a job tell one life', facts.jobs, (job) => {
    const events = inOrder(eventsOf.get(job.id) ?? [])
    return [...readLife(job, events), ...compareAttempts(job, events, attemptsOf.get(job.id) ?? [])]
  })
}

function readLife(job: JobFact, events: readonly EventFact[]): string[] {
  const found: string[] = []
  const seen = new Set<string>()
  let state = 'none'
  let attempt = 0
  for (const event of events) {
    const name = `${event.type} of ${job.id} (event ${event.id})`
    const allowed = JOB_EVENTS[event.type]
    if (!allowed?.from.includes(state)) found.push(`${name} comes when the job is ${state}, it may when it is ${allowed?.from.join(' or ') ?? 'never'}`)
    if (!allowed?.to.includes(event.state ?? '')) found.push(`${name} leads to ${event.state}, it may to ${allowed?.to.join(' or ') ?? 'nothing'}`)
    const wanted = attemptFor(event.type, state, attempt)
    if (event.attempt !== wanted) found.push(`${name} is of attempt ${event.attempt ?? 'none'}, not ${wanted ?? 'none'}`)
    if (event.type === 'job.assigned') attempt = event.attempt ?? attempt + 1
    // What names no attempt (queued after a pause) comes once after each.
    const key = `${event.type} of attempt ${event.attempt ?? attempt}`
    if (seen.has(key)) found.push(`${job.id} has ${key} twice (event ${event.id})`)
    seen.add(key)
    state = event.state ?? state
  }
  if (state !== job.state) found.push(`${job.id} is ${job.state}, by its events it is ${state}`)
  return found
}

/** The attempt that an event must tell of: the next one, the one that has the job, or none. */
function attemptFor(type: string, state: string, attempt: number): number | null {
  if (type === 'job.assigned') return attempt + 1
  if (type === 'job.submitted' || type === 'job.queued' || type === 'job.cancel_requested') return null
  return state === 'running' ? attempt : null
}

function compareAttempts(job: JobFact, events: readonly EventFact[], attempts: readonly AttemptFact[]): string[] {
  const found: string[] = []
  const told = (type: string) => new Set(events.filter((event) => event.type === type).map((event) => event.attempt))
  const [assigned, started] = [told('job.assigned'), told('job.started')]
  for (const { id, number, startedAtMs } of attempts) {
    if (!assigned.delete(number)) found.push(`attempt ${id} of ${job.id} has no job.assigned`)
    if (startedAtMs === null && started.has(number)) found.push(`attempt ${id} of ${job.id} has a job.started, its row does not know that it ran`)
    if (startedAtMs !== null && !started.has(number)) found.push(`attempt ${id} of ${job.id} ran, and has no job.started`)
  }
  for (const number of assigned) found.push(`${job.id} has a job.assigned of attempt ${number}, there is no such attempt`)
  return found
}

/** The events of a batch tell one life: submitted and completed once, and nothing of it or its jobs after that. */
export function checkBatchLives(facts: Facts): CheckResult {
  const eventsOf = Map.groupBy(facts.events, (event) => event.objectId)
  const jobsOf = Map.groupBy(facts.jobs, (job) => job.batchId)
  return checkEach('the events of a batch tell one life', facts.batches, (batch) => {
    const events = inOrder(eventsOf.get(batch.id) ?? [])
    const found: string[] = []
    for (const type of ['batch.submitted', 'batch.completed']) {
      const count = events.filter((event) => event.type === type).length
      if (count !== 1) found.push(`${batch.id} has ${count} ${type}, not one`)
    }
    const end = events.findLast((event) => event.type === 'batch.completed')
    const ofJobs = (jobsOf.get(batch.id) ?? []).flatMap((job) => eventsOf.get(job.id) ?? [])
    for (const event of [...events, ...ofJobs])
      if (end && event.id > end.id) found.push(`${batch.id} was completed (event ${end.id}) before ${event.type} of ${event.objectId} (event ${event.id})`)
    return found
  })
}

function inOrder(events: readonly EventFact[]): EventFact[] {
  return [...events].sort((a, b) => a.id - b.id)
}
