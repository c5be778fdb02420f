import { type Static, Type } from '@sinclair/typebox'
import { maybe, Time, words } from './api.ts'

/** What the REST API takes and answers about webhooks (https://www.standardwebhooks.com). */

/** The events that an endpoint may ask for. */
export const WEBHOOK_EVENTS = ['job.started', 'job.succeeded', 'job.failed', 'job.cancelled', 'batch.completed', 'webhook.disabled'] as const
/** One of them. */
export type WebhookEvent = (typeof WEBHOOK_EVENTS)[number]

/** Why an endpoint is switched off: by hand, as it answered 410 Gone, or as nothing reached it for days. */
export const DISABLED_REASONS = ['user', 'gone', 'failing'] as const

/** Where a delivery is: to be sent (again), taken by its receiver, or given up. */
export const DELIVERY_STATES = ['pending', 'delivered', 'failed'] as const

/** An endpoint of a project. That of kind `jobs` signs what jobs ask for themselves (spec.webhook), and has no address. */
export const WebhookView = Type.Object({
  id: Type.String(),
  kind: words(['endpoint', 'jobs']),
  url: maybe(Type.String()),
  description: maybe(Type.String()),
  events: Type.Array(words(WEBHOOK_EVENTS)),
  enabled: Type.Boolean(),
  disabledReason: maybe(words(DISABLED_REASONS)),
  disabledAt: maybe(Time),
  failingSince: maybe(Time),
  secrets: Type.Array(Type.Object({ createdAt: Time, expiresAt: maybe(Time) }), {
    description: 'When the secrets that sign now were made; never the secrets.',
  }),
  createdAt: Time,
})
/** See the schema of the same name. */
export type WebhookView = Static<typeof WebhookView>

/** A message to an endpoint. */
export const DeliveryView = Type.Object({
  id: Type.String(),
  webhookId: Type.String(),
  messageId: Type.String({ description: 'The `webhook-id` that its receiver sees: the same in each try, and when it is sent again.' }),
  type: Type.String(),
  jobId: maybe(Type.String()),
  batchId: maybe(Type.String()),
  url: Type.String(),
  state: words(DELIVERY_STATES),
  tries: Type.Integer(),
  nextTryAt: maybe(Time),
  lastStatus: maybe(Type.Integer()),
  lastError: maybe(Type.String()),
  createdAt: Time,
  finishedAt: maybe(Time),
})
/** See the schema of the same name. */
export type DeliveryView = Static<typeof DeliveryView>

/** One time that a delivery was sent. */
export const TryView = Type.Object({
  number: Type.Integer(),
  at: Time,
  durationMs: Type.Integer(),
  status: maybe(Type.Integer()),
  error: maybe(Type.String()),
  responseBody: maybe(Type.String({ description: 'At most 4 KiB of it.' })),
})
/** See the schema of the same name. */
export type TryView = Static<typeof TryView>
