import { Webhook } from 'standardwebhooks'
import type { ClaimedDelivery } from '#store/webhook-deliveries.ts'

/** What is posted to a receiver. */
export interface Message {
  url: string
  headers: Record<string, string>
  body: string
}

/** What receivers know a delivery by: the same in each try, so that they can tell a repeated one. */
export function messageId(delivery: Pick<ClaimedDelivery, 'id' | 'eventId'>): string {
  return delivery.eventId === null ? `ping_${delivery.id}` : `evt_${delivery.eventId}`
}

/**
 * A delivery as Standard Webhooks has it (https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md),
 * signed with each of its secrets. Throws when a secret is none.
 */
export function composeMessage(delivery: ClaimedDelivery, nowMs: number): Message {
  const id = messageId(delivery)
  const body = JSON.stringify({ type: delivery.type, timestamp: new Date(delivery.createdAt).toISOString(), data: delivery.data })
  const at = new Date(nowMs)
  const signatures = delivery.secrets.map((secret) => new Webhook(secret).sign(id, at, body))
  return {
    url: delivery.url,
    headers: {
      'content-type': 'application/json',
      'webhook-id': id,
      'webhook-timestamp': String(Math.floor(nowMs / 1000)),
      'webhook-signature': signatures.join(' '),
    },
    body,
  }
}
