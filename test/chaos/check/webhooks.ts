import type { Facts, HookFact } from './facts.ts'
import type { CheckResult } from './result.ts'

/** The receiver of webhooks got every event that it wanted, nothing else, signed, and of each job in the order in which it happened. */
export function checkWebhooks({ webhooks }: Facts): CheckResult {
  const result: CheckResult = { name: 'webhooks arrive, signed and in order', checked: webhooks.events.length, violations: [] }
  const wanted = new Map(webhooks.events.map((event) => [event.id, event]))
  const seen = new Set<number>()
  const lastOf = new Map<string, number>()
  for (const message of webhooks.received) {
    const event = wanted.get(message.id)
    if (!event) result.violations.push(`the webhook ${describe(message)} came, and no event is like it`)
    else if (describe(event) !== describe(message)) result.violations.push(`the event ${describe(event)} came as the webhook ${describe(message)}`)
    if (seen.has(message.id)) continue
    seen.add(message.id)
    const last = lastOf.get(message.objectId)
    if (last !== undefined && last > message.id) result.violations.push(`the webhook ${describe(message)} came after ${last}`)
    lastOf.set(message.objectId, message.id)
  }
  for (const event of webhooks.events) if (!seen.has(event.id)) result.violations.push(`the event ${describe(event)} came as no webhook`)
  for (const fault of webhooks.faults) result.violations.push(`the receiver says: ${fault}`)
  return result
}

function describe({ id, type, objectId }: HookFact): string {
  return `${id} (${type} of ${objectId})`
}
