import type { EventFact, Facts } from './facts.ts'
import { type CheckResult, checkEach } from './result.ts'

const FINAL = ['job.succeeded', 'job.failed', 'job.cancelled']

/** A consumer that drops repeats by id gets every event once, those of one job in order; nothing waits in the outbox. */
export function checkDelivery(facts: Facts): CheckResult {
  const seen = new Set<number>()
  const lastOf = new Map<string, number>()
  const result: CheckResult = { name: 'events are delivered, each once and in order', checked: 0, violations: [] }
  const rows = new Map(facts.events.map((event) => [event.id, event]))
  for (const message of facts.delivered) {
    if (seen.has(message.id)) continue
    seen.add(message.id)
    const event = rows.get(message.id)
    if (!event) result.violations.push(`the event ${message.id} (${message.type}) was delivered, and has no row`)
    else if (event.type !== message.type || event.objectId !== message.objectId)
      result.violations.push(`the event ${message.id} was delivered as ${message.type} of ${message.objectId}, its row says ${event.type} of ${event.objectId}`)
    const last = lastOf.get(message.objectId)
    if (last !== undefined && last > message.id) result.violations.push(`the event ${message.id} of ${message.objectId} came after ${last}`)
    lastOf.set(message.objectId, message.id)
  }
  for (const event of facts.events) {
    result.checked++
    if (!seen.has(event.id)) result.violations.push(`the event ${event.id} (${event.type} of ${event.objectId}) was not delivered`)
  }
  if (facts.outboxRows > 0) result.violations.push(`${facts.outboxRows} events wait in the outbox`)
  return result
}

/** The events of a job tell one life: submitted first, one end and that last, each attempt assigned, started, ended, each once. */
export function checkLives(facts: Facts): CheckResult {
  const byJob = Map.groupBy(facts.events, (event) => event.objectId)
  return checkEach('the events of a job tell one life', facts.jobs, (job) => {
    const events = [...(byJob.get(job.id) ?? [])].sort((a, b) => a.id - b.id)
    const found = describeLife(job.id, events)
    const last = events.at(-1)?.type
    if (last !== `job.${job.state}`) found.push(`${job.id} is ${job.state}, its last event is ${last ?? 'none'}`)
    return found
  })
}

function describeLife(jobId: string, events: readonly EventFact[]): string[] {
  const found: string[] = []
  if (events[0]?.type !== 'job.submitted') found.push(`the first event of ${jobId} is ${events[0]?.type ?? 'none'}`)
  const ends = events.filter((event) => FINAL.includes(event.type))
  if (ends.length !== 1) found.push(`${jobId} has ${ends.length} final events`)
  const seen = new Set<string>()
  for (const { type, attempt, id } of events) {
    if (attempt === null) continue
    const key = `${type} of attempt ${attempt}`
    if (seen.has(key)) found.push(`${jobId} has ${key} twice (event ${id})`)
    seen.add(key)
    const needs = type === 'job.assigned' ? undefined : `job.assigned of attempt ${attempt}`
    if (needs && !seen.has(needs)) found.push(`${jobId} has ${key} before ${needs}`)
    if (type === 'job.started' && (seen.has(`job.requeued of attempt ${attempt}`) || FINAL.some((final) => seen.has(`${final} of attempt ${attempt}`))))
      found.push(`${jobId} has ${key} after its end`)
  }
  return found
}
