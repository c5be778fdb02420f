import { type Static, Type } from '@sinclair/typebox'
import { maybe, pageOf, Time, words } from './api.ts'

/** What the REST API takes and answers about webhooks (https://www.standardwebhooks.com). */

/** The events that an endpoint may ask for. */
export const WEBHOOK_EVENTS = [
  'job.started',
  'job.succeeded',
  'job.failed',
  'job.cancelled',
  'batch.completed',
  'webhook.disabled',
  'spending.threshold',
] as const
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

/** The webhooks of a project. */
export const WebhookList = pageOf(WebhookView)
/** See the schema of the same name. */
export type WebhookList = Static<typeof WebhookList>

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

/** Deliveries of a webhook. */
export const DeliveryPage = pageOf(DeliveryView)
/** See the schema of the same name. */
export type DeliveryPage = Static<typeof DeliveryPage>

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

/** A delivery with every time that it was sent. */
export const DeliveryDetail = Type.Composite([DeliveryView, Type.Object({ attempts: Type.Array(TryView) })])
/** See the schema of the same name. */
export type DeliveryDetail = Static<typeof DeliveryDetail>

const strict = { additionalProperties: false } as const
/** One of these words, checked (`words` only describes what we answer). */
const oneOf = <const T extends readonly string[]>(values: T) =>
  Type.Unsafe<T[number]>(Type.String({ pattern: `^(${values.join('|').replaceAll('.', '\\.')})$` }))
const Url = Type.String({ minLength: 1, maxLength: 2048, description: 'https; public, or in RGRID_WEBHOOK_ALLOW' })
const Events = Type.Array(oneOf(WEBHOOK_EVENTS), { minItems: 1, maxItems: WEBHOOK_EVENTS.length, uniqueItems: true })
const Description = Type.String({ maxLength: 200, pattern: '^[^\\u0000-\\u001f\\u007f]*$' })

/** A new webhook; without `events` it hears all of them. */
export const NewWebhookBody = Type.Object(
  {
    kind: Type.Optional(oneOf(['endpoint', 'jobs'])),
    url: Type.Optional(Url),
    events: Type.Optional(Events),
    description: Type.Optional(Description),
  },
  strict,
)

/** What of a webhook may be changed. */
export const WebhookChangeBody = Type.Object(
  {
    url: Type.Optional(Url),
    events: Type.Optional(Events),
    description: Type.Optional(maybe(Description)),
    enabled: Type.Optional(Type.Boolean()),
  },
  { ...strict, minProperties: 1 },
)

/** How long the secret before the new one signs too. */
export const Rotation = Type.Object({ overlapSeconds: Type.Optional(Type.Integer({ minimum: 0, maximum: 2_592_000, default: 86_400 })) }, strict)

/** A webhook with its secret, the only time that this is shown. */
export const WebhookWithSecret = Type.Composite([WebhookView, Type.Object({ secret: Type.String() })])
/** See the schema of the same name. */
export type WebhookWithSecret = Static<typeof WebhookWithSecret>

/** A range of deliveries by when they were written. */
export const RedeliverRange = Type.Object({ since: Time, until: Time, state: Type.Optional(oneOf(['failed', 'all'])) }, strict)
/** See the schema of the same name. */
export type RedeliverRange = Static<typeof RedeliverRange>

/** What a list of deliveries may be narrowed to. */
export const DeliveryQuery = Type.Object(
  {
    state: Type.Optional(oneOf(DELIVERY_STATES)),
    type: Type.Optional(oneOf([...WEBHOOK_EVENTS, 'webhook.ping'])),
    job: Type.Optional(Type.String({ description: 'only about this job' })),
    since: Type.Optional(Type.String({ format: 'date-time', description: 'written from then on (RFC 3339)' })),
    until: Type.Optional(Type.String({ format: 'date-time', description: 'written before then' })),
    limit: Type.Optional(Type.Integer({ minimum: 1, maximum: 200, default: 50 })),
    cursor: Type.Optional(Type.String({ maxLength: 2048, description: '`nextCursor` of the page before, with the same filters' })),
  },
  strict,
)
/** See the schema of the same name. */
export type DeliveryQuery = Static<typeof DeliveryQuery>
