import type { DeliveryDetail, DeliveryView, WebhookView, WebhookWithSecret } from '#core/webhook-api.ts'
import { EXAMPLE, json, type Operation } from './operation.ts'

const WEBHOOK: WebhookView = {
  id: EXAMPLE.webhook,
  kind: 'endpoint',
  url: 'https://app.example.com/hooks/rgrid',
  description: 'the shop',
  events: ['job.succeeded', 'job.failed'],
  enabled: true,
  disabledReason: null,
  disabledAt: null,
  failingSince: null,
  secrets: [{ createdAt: '2026-11-23T10:00:00.000Z', expiresAt: null }],
  createdAt: '2026-11-23T10:00:00.000Z',
}
const WITH_SECRET: WebhookWithSecret = { ...WEBHOOK, secret: 'whsec_told_this_once' }
const DELIVERY: DeliveryView = {
  id: EXAMPLE.delivery,
  webhookId: EXAMPLE.webhook,
  messageId: 'evt_97',
  type: 'job.failed',
  jobId: EXAMPLE.job,
  batchId: null,
  url: 'https://app.example.com/hooks/rgrid',
  state: 'delivered',
  tries: 1,
  nextTryAt: null,
  lastStatus: 204,
  lastError: null,
  createdAt: '2026-11-23T10:00:04.120Z',
  finishedAt: '2026-11-23T10:00:04.310Z',
}
const PENDING: DeliveryView = {
  ...DELIVERY,
  messageId: 'ping_4711',
  type: 'webhook.ping',
  jobId: null,
  state: 'pending',
  tries: 0,
  nextTryAt: '2026-11-23T10:00:00.000Z',
  lastStatus: null,
  finishedAt: null,
}
const DETAIL: DeliveryDetail = {
  ...DELIVERY,
  attempts: [{ number: 1, at: '2026-11-23T10:00:04.150Z', durationMs: 160, status: 204, error: null, responseBody: '' }],
}

/** Webhooks and their deliveries. */
export const WEBHOOK_OPERATIONS: Readonly<Record<string, Operation>> = {
  'POST /v1/projects/{slug}/webhooks': {
    id: 'createWebhook',
    tag: 'Webhooks',
    description: 'Of kind `jobs` there is one for each project: its secret signs what jobs ask for themselves (`spec.webhook`).',
    idempotent: true,
    body: json({ url: WEBHOOK.url, events: WEBHOOK.events, description: WEBHOOK.description }),
    answers: { 201: json(WITH_SECRET) },
  },
  'GET /v1/projects/{slug}/webhooks': {
    id: 'listWebhooks',
    tag: 'Webhooks',
    parameters: { limit: 200, cursor: EXAMPLE.cursor },
    answers: { 200: json({ items: [WEBHOOK], nextCursor: null }) },
  },
  'GET /v1/webhooks/{id}': { id: 'getWebhook', tag: 'Webhooks', answers: { 200: json(WEBHOOK) } },
  'PATCH /v1/webhooks/{id}': { id: 'changeWebhook', tag: 'Webhooks', body: json({ enabled: true }), answers: { 200: json(WEBHOOK) } },
  'DELETE /v1/webhooks/{id}': { id: 'deleteWebhook', tag: 'Webhooks', answers: { 204: {} } },
  'POST /v1/webhooks/{id}/rotate': {
    id: 'rotateWebhook',
    tag: 'Webhooks',
    idempotent: true,
    body: json({ overlapSeconds: 86_400 }),
    answers: { 200: json(WITH_SECRET) },
  },
  'POST /v1/webhooks/{id}/test': { id: 'pingWebhook', tag: 'Webhooks', idempotent: true, answers: { 201: json(PENDING) } },
  'POST /v1/webhooks/{id}/redeliver': {
    id: 'redeliverRange',
    tag: 'Webhooks',
    idempotent: true,
    body: json({ since: '2026-11-22T00:00:00Z', until: '2026-11-23T00:00:00Z', state: 'failed' }),
    answers: { 200: json({ redelivered: 12 }) },
  },
  'GET /v1/webhooks/{id}/deliveries': {
    id: 'listDeliveries',
    tag: 'Webhooks',
    parameters: {
      state: 'failed',
      type: 'job.failed',
      job: EXAMPLE.job,
      since: '2026-11-22T00:00:00Z',
      until: '2026-11-23T00:00:00Z',
      limit: 50,
      cursor: EXAMPLE.cursor,
    },
    answers: { 200: json({ items: [DELIVERY], nextCursor: EXAMPLE.cursor }) },
  },
  'GET /v1/webhooks/{id}/deliveries/{deliveryId}': { id: 'getDelivery', tag: 'Webhooks', answers: { 200: json(DETAIL) } },
  'POST /v1/webhooks/{id}/deliveries/{deliveryId}/redeliver': { id: 'redeliver', tag: 'Webhooks', idempotent: true, answers: { 200: json(DELIVERY) } },
}
