import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { maybe } from '#core/api.ts'
import { RGridError, validationError } from '#core/errors.ts'
import { DeliveryDetail, DeliveryQuery, DeliveryView, RedeliverRange, type WebhookView } from '#core/webhook-api.ts'
import { insertPing, listDeliveries, parseDeliveryId, readDelivery, readTries, redeliver, redeliverRange } from '#store/webhook-ledger.ts'
import { readWebhook } from '#store/webhooks.ts'
import type { GatewayDeps } from '../deps.ts'
import { decodeCursor, encodeCursor } from '../job-commands.ts'
import { principalOf } from '../plugins/auth.ts'
import { noWebhook } from './webhooks.ts'

const Id = Type.Object({ id: Type.String() })
const Ids = Type.Object({ id: Type.String(), deliveryId: Type.String() })
const Page = Type.Object({ items: Type.Array(DeliveryView), nextCursor: maybe(Type.String()) })

/** What was sent to a webhook and what is to be, every try of it; and sending it again. */
export const webhookDeliveryRoutes: FastifyPluginAsyncTypebox<{ deps: GatewayDeps }> = async (app, { deps }) => {
  const owned = async (projectId: string, id: string): Promise<WebhookView> => (await readWebhook(deps.db, projectId, id)) ?? noWebhook(id)

  async function existing(projectId: string, { id, deliveryId }: typeof Ids.static): Promise<{ number: number; view: DeliveryView }> {
    await owned(projectId, id)
    const number = parseDeliveryId(deliveryId)
    const view = number === undefined ? undefined : await readDelivery(deps.db, id, number)
    if (number === undefined || !view) throw new RGridError('not_found', `there is no delivery ${deliveryId} of webhook ${id}`)
    return { number, view }
  }

  app.get(
    '/webhooks/:id/deliveries',
    { schema: { summary: 'What was sent to a webhook, and what is to be', params: Id, querystring: DeliveryQuery, response: { 200: Page } } },
    async (request) => {
      const { state, type, job, since, until, limit, cursor } = request.query
      await owned(principalOf(request).projectId, request.params.id)
      const before = cursor === undefined ? undefined : decodeCursor(cursor)
      const { items, next } = await listDeliveries(deps.db, request.params.id, { state, type, jobId: job, since, until, before, limit: limit ?? 50 })
      return { items, nextCursor: next === null ? null : encodeCursor(next) }
    },
  )

  app.get(
    '/webhooks/:id/deliveries/:deliveryId',
    { schema: { summary: 'A delivery with every time that it was sent', params: Ids, response: { 200: DeliveryDetail } } },
    async (request) => {
      const { number, view } = await existing(principalOf(request).projectId, request.params)
      return { ...view, attempts: await readTries(deps.db, number) }
    },
  )

  app.post(
    '/webhooks/:id/test',
    { schema: { summary: 'Send a ping; read the delivery for what came of it', params: Id, response: { 201: DeliveryView } } },
    async (request, reply) => {
      const { projectId } = principalOf(request)
      const webhook = await owned(projectId, request.params.id)
      if (webhook.kind === 'jobs') throw new RGridError('conflict', 'a webhook of kind "jobs" has no address of its own to send a ping to')
      requireEnabled(webhook)
      const number = await insertPing(deps.db, projectId, webhook.id)
      return reply.code(201).send((await existing(projectId, { id: webhook.id, deliveryId: `whd_${number}` })).view)
    },
  )

  app.post(
    '/webhooks/:id/deliveries/:deliveryId/redeliver',
    { schema: { summary: 'Send a delivery again', params: Ids, response: { 200: DeliveryView } } },
    async (request) => {
      const { projectId } = principalOf(request)
      const { number } = await existing(projectId, request.params)
      requireEnabled(await owned(projectId, request.params.id))
      if (!(await redeliver(deps.db, request.params.id, number)))
        throw new RGridError('conflict', `${request.params.deliveryId} is pending: it is sent at its time`)
      return (await existing(projectId, request.params)).view
    },
  )

  app.post(
    '/webhooks/:id/redeliver',
    {
      schema: {
        summary: 'Send again what failed in a time range, or all of it',
        params: Id,
        body: RedeliverRange,
        response: { 200: Type.Object({ redelivered: Type.Integer() }) },
      },
    },
    async (request) => {
      const { since, until, state = 'failed' } = request.body
      if (Date.parse(since) >= Date.parse(until)) throw validationError([{ path: 'until', message: 'must be later than since' }])
      requireEnabled(await owned(principalOf(request).projectId, request.params.id))
      return { redelivered: await redeliverRange(deps.db, request.params.id, { since, until, all: state === 'all' }) }
    },
  )
}

function requireEnabled(webhook: WebhookView): void {
  if (!webhook.enabled) throw new RGridError('conflict', `webhook ${webhook.id} is switched off; switch it on first: PATCH {"enabled": true}`)
}
