import type { EventFact, Facts } from './facts.ts'
import type { CheckResult } from './result.ts'

/** A consumer that drops repeats by id gets every event once and as it was recorded, those of one job in order; nothing waits in the outbox. */
export function checkDelivery(facts: Facts): CheckResult {
  const result: CheckResult = { name: 'events are delivered, each once and in order', checked: facts.events.length, violations: [] }
  const rows = new Map(facts.events.map((event) => [event.id, event]))
  const seen = new Set<number>()
  const lastOf = new Map<string, number>()
  for (const message of facts.delivered) {
    const event = rows.get(message.id)
    if (!event) result.violations.push(`the event ${describe(message)} was delivered, and has no row`)
    else if (describe(event) !== describe(message)) result.violations.push(`the event ${describe(event)} was delivered as ${describe(message)}`)
    if (seen.has(message.id)) continue
    seen.add(message.id)
    const last = lastOf.get(message.objectId)
    if (last !== undefined && last > message.id) result.violations.push(`the event ${describe(message)} was delivered after ${last}`)
    lastOf.set(message.objectId, message.id)
  }
  for (const event of facts.events) if (!seen.has(event.id)) result.violations.push(`the event ${describe(event)} was not delivered`)
  if (facts.outboxRows > 0) result.violations.push(`${facts.outboxRows} events wait in the outbox, there should be none`)
  return result
}

function describe({ id, type, objectId, attempt, state }: EventFact): string {
  return `${id} (${type} of ${objectId}${attempt === null ? '' : `, attempt ${attempt}`}${state === null ? '' : `, ${state}`})`
}
