import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { RGridError, validationError } from '#core/errors.ts'
import { DeliveryDetail, DeliveryPage, DeliveryQuery, DeliveryView, RedeliverRange, type WebhookView } from '#core/webhook-api.ts'
import type { Db } from '#store/pool.ts'
import { insertPing, listDeliveries, parseDeliveryId, readDelivery, readTries, redeliver, redeliverRange } from '#store/webhook-ledger.ts'
import { readWebhook } from '#store/webhooks.ts'
import { ofObject } from '../access/access.ts'
import { dbOf, principalOf } from '../access/authorise.ts'
import { audit } from '../audit.ts'
import type { RouteOptions } from '../deps.ts'
import { once, sendAnswer } from '../idempotent.ts'
import { positionOf, sendPage } from '../pages.ts'
import { revalidated } from '../plugins/revalidation.ts'
import { noWebhook } from './webhooks.ts'

const Id = Type.Object({ id: Type.String() })
const Ids = Type.Object({ id: Type.String(), deliveryId: Type.String() })

/** What was sent to a webhook and what is to be, every try of it; and sending it again. */
export const webhookDeliveryRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  app.get(
    '/webhooks/:id/deliveries',
    {
      ...revalidated(ofObject('webhook', 'webhooks:read')),
      schema: { summary: 'What was sent to a webhook, and what is to be', params: Id, querystring: DeliveryQuery, response: { 200: DeliveryPage } },
    },
    async (request, reply) => {
      const { state, type, job, since, until, limit = 50 } = request.query
      await owned(dbOf(request), principalOf(request).projectId, request.params.id)
      const before = positionOf(request, 'number')
      return sendPage(request, reply, await listDeliveries(dbOf(request), request.params.id, { state, type, jobId: job, since, until, before, limit }))
    },
  )

  app.get(
    '/webhooks/:id/deliveries/:deliveryId',
    {
      ...ofObject('webhook', 'webhooks:read'),
      schema: { summary: 'A delivery with every time that it was sent', params: Ids, response: { 200: DeliveryDetail } },
    },
    async (request) => {
      const { number, view } = await existing(dbOf(request), principalOf(request).projectId, request.params)
      return { ...view, attempts: await readTries(dbOf(request), number) }
    },
  )

  app.post(
    '/webhooks/:id/test',
    {
      ...ofObject('webhook', 'webhooks:admin'),
      schema: { summary: 'Send a ping; read the delivery for what came of it', params: Id, response: { 201: DeliveryView } },
    },
    async (request, reply) => {
      const { projectId } = principalOf(request)
      const webhook = await owned(dbOf(request), projectId, request.params.id)
      if (webhook.kind === 'jobs') throw new RGridError('conflict', 'a webhook of kind "jobs" has no address of its own to send a ping to')
      requireEnabled(webhook)
      const answer = await once(deps, request, async (tx) => {
        const number = await insertPing(tx, principalOf(request), webhook.id)
        await audit(tx, request, 'webhook.test', webhook.id)
        return { body: (await existing(tx, projectId, { id: webhook.id, deliveryId: `whd_${number}` })).view }
      })
      return sendAnswer(reply, answer)
    },
  )

  app.post(
    '/webhooks/:id/deliveries/:deliveryId/redeliver',
    { ...ofObject('webhook', 'webhooks:admin'), schema: { summary: 'Send a delivery again', params: Ids, response: { 200: DeliveryView } } },
    async (request, reply) => {
      const { projectId } = principalOf(request)
      const { number } = await existing(dbOf(request), projectId, request.params)
      requireEnabled(await owned(dbOf(request), projectId, request.params.id))
      const answer = await once(deps, request, async (tx) => {
        if (!(await redeliver(tx, request.params.id, number)))
          throw new RGridError('conflict', `${request.params.deliveryId} is pending: it is sent at its time`)
        await audit(tx, request, 'webhook.redeliver', request.params.deliveryId)
        return { status: 200, body: (await existing(tx, projectId, request.params)).view }
      })
      return sendAnswer(reply, answer)
    },
  )

  app.post(
    '/webhooks/:id/redeliver',
    {
      ...ofObject('webhook', 'webhooks:admin'),
      schema: {
        summary: 'Send again what failed in a time range, or all of it',
        params: Id,
        body: RedeliverRange,
        response: { 200: Type.Object({ redelivered: Type.Integer() }) },
      },
    },
    async (request, reply) => {
      const { since, until, state = 'failed' } = request.body
      if (Date.parse(since) >= Date.parse(until)) throw validationError([{ path: 'until', message: 'must be later than since' }])
      requireEnabled(await owned(dbOf(request), principalOf(request).projectId, request.params.id))
      const answer = await once(deps, request, async (tx) => {
        const redelivered = await redeliverRange(tx, request.params.id, { since, until, all: state === 'all' })
        await audit(tx, request, 'webhook.redeliver', request.params.id, { since, until, state, redelivered })
        return { status: 200, body: { redelivered } }
      })
      return sendAnswer(reply, answer)
    },
  )
}

async function owned(db: Db, projectId: string, id: string): Promise<WebhookView> {
  return (await readWebhook(db, projectId, id)) ?? noWebhook(id)
}

async function existing(db: Db, projectId: string, { id, deliveryId }: typeof Ids.static): Promise<{ number: number; view: DeliveryView }> {
  await owned(db, projectId, id)
  const number = parseDeliveryId(deliveryId)
  const view = number === undefined ? undefined : await readDelivery(db, id, number)
  if (number === undefined || !view) throw new RGridError('not_found', `there is no delivery ${deliveryId} of webhook ${id}`)
  return { number, view }
}

function requireEnabled(webhook: WebhookView): void {
  if (!webhook.enabled) throw new RGridError('conflict', `webhook ${webhook.id} is switched off; switch it on first: PATCH {"enabled": true}`)
}
