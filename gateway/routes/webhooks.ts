import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { maybe } from '#core/api.ts'
import { RGridError, validationError } from '#core/errors.ts'
import { PlainPage } from '#core/list-api.ts'
import { NewWebhookBody, Rotation, WEBHOOK_EVENTS, WebhookChangeBody, WebhookList, WebhookView, WebhookWithSecret } from '#core/webhook-api.ts'
import { webhookUrlFault } from '#core/webhook-targets.ts'
import { changeWebhook, createWebhook, deleteWebhook, listWebhooks, MAX_WEBHOOKS, readWebhook, rotateWebhook } from '#store/webhooks.ts'
import { inProject, ofObject } from '../access/access.ts'
import { dbOf, principalOf } from '../access/authorise.ts'
import { audit } from '../audit.ts'
import type { RouteOptions } from '../deps.ts'
import { once, sendAnswer } from '../idempotent.ts'
import { positionOf, sendPage } from '../pages.ts'
import { UNCOMPRESSED } from '../plugins/compression.ts'
import { revalidated } from '../plugins/revalidation.ts'

const Slug = Type.Object({ slug: Type.String() })
const Id = Type.Object({ id: Type.String() })
const ONE_DAY_SECONDS = 86_400

/** The endpoints that a project has its events sent to. */
export const webhookRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  const checkUrl = (url: string) => {
    const fault = webhookUrlFault(url, deps.webhookTargets)
    if (fault) throw validationError([{ path: 'url', message: fault }])
  }

  app.post(
    '/projects/:slug/webhooks',
    {
      ...inProject('webhooks:admin'),
      ...UNCOMPRESSED,
      schema: {
        summary: 'Have events sent to an address; the secret is answered this once',
        params: Slug,
        body: NewWebhookBody,
        response: { 201: WebhookWithSecret },
      },
    },
    async (request, reply) => {
      const principal = principalOf(request)
      const { kind = 'endpoint', url, events, description = null } = request.body
      if (kind === 'endpoint' && url === undefined) throw validationError([{ path: 'url', message: 'is required: where to send events' }])
      if (kind === 'jobs') refuseForJobs({ url, events })
      if (url !== undefined) checkUrl(url)
      const wanted = kind === 'jobs' ? [] : (events ?? [...WEBHOOK_EVENTS])
      const answer = await once(deps, request, async (tx) => {
        const made = await createWebhook(tx, deps.sealer, principal, { kind, url: url ?? null, events: wanted, description })
        if (made.status === 'full') throw new RGridError('conflict', `a project has at most ${MAX_WEBHOOKS} webhooks; delete one first`)
        if (made.status === 'exists')
          throw new RGridError(
            'conflict',
            'the project has its webhook of kind "jobs" already; a new secret: rgrid webhooks rotate WEBHOOK, or POST /v1/webhooks/:id/rotate',
          )
        await audit(tx, request, 'webhook.create', made.webhook.id, { kind, events: wanted })
        return { body: { ...made.webhook, secret: made.secret }, location: `/v1/webhooks/${made.webhook.id}` }
      })
      return sendAnswer(reply, answer)
    },
  )

  app.get(
    '/projects/:slug/webhooks',
    {
      ...revalidated(inProject('webhooks:read')),
      schema: { summary: 'The webhooks of a project', params: Slug, querystring: PlainPage, response: { 200: WebhookList } },
    },
    async (request, reply) =>
      sendPage(
        request,
        reply,
        await listWebhooks(dbOf(request), principalOf(request).projectId, { after: positionOf(request, 'text'), limit: request.query.limit ?? 200 }),
      ),
  )

  app.get(
    '/webhooks/:id',
    { ...ofObject('webhook', 'webhooks:read'), schema: { summary: 'A webhook', params: Id, response: { 200: WebhookView } } },
    async (request) => {
      const found = await readWebhook(dbOf(request), principalOf(request).projectId, request.params.id)
      return found ?? noWebhook(request.params.id)
    },
  )

  app.patch(
    '/webhooks/:id',
    {
      ...ofObject('webhook', 'webhooks:admin'),
      schema: { summary: 'Change a webhook, or switch it off or on', params: Id, body: WebhookChangeBody, response: { 200: WebhookView } },
    },
    async (request) => {
      const { projectId } = principalOf(request)
      const known = (await readWebhook(dbOf(request), projectId, request.params.id)) ?? noWebhook(request.params.id)
      if (known.kind === 'jobs') refuseForJobs(request.body)
      if (request.body.url !== undefined) checkUrl(request.body.url)
      return dbOf(request).transaction(async (tx) => {
        const changed = (await changeWebhook(tx, projectId, request.params.id, request.body)) ?? noWebhook(request.params.id)
        // The address may hold a credential.
        await audit(tx, request, 'webhook.change', request.params.id, { fields: Object.keys(request.body) })
        return changed
      })
    },
  )

  app.delete(
    '/webhooks/:id',
    {
      ...ofObject('webhook', 'webhooks:admin'),
      schema: { summary: 'Delete a webhook and the record of its deliveries', params: Id, response: { 204: Type.Null() } },
    },
    async (request, reply) => {
      await dbOf(request).transaction(async (tx) => {
        if (!(await deleteWebhook(tx, principalOf(request).projectId, request.params.id))) noWebhook(request.params.id)
        await audit(tx, request, 'webhook.delete', request.params.id)
      })
      return reply.code(204).send(null)
    },
  )

  app.post(
    '/webhooks/:id/rotate',
    {
      ...ofObject('webhook', 'webhooks:admin'),
      ...UNCOMPRESSED,
      schema: { summary: 'Make a new secret; the old one signs too for a while', params: Id, body: maybe(Rotation), response: { 200: WebhookWithSecret } },
    },
    async (request, reply) => {
      const overlapSeconds = request.body?.overlapSeconds ?? ONE_DAY_SECONDS
      const answer = await once(deps, request, async (tx) => {
        const rotated =
          (await rotateWebhook(tx, deps.sealer, principalOf(request).projectId, request.params.id, overlapSeconds)) ?? noWebhook(request.params.id)
        await audit(tx, request, 'webhook.rotate', request.params.id, { overlapSeconds })
        return { body: { ...rotated.webhook, secret: rotated.secret }, status: 200 }
      })
      return sendAnswer(reply, answer)
    },
  )
}

/** That of kind `jobs` has no address and hears no events: the jobs say both. */
function refuseForJobs(body: { url?: string | undefined; events?: readonly string[] | undefined }): void {
  for (const path of ['url', 'events'] as const)
    if (body[path] !== undefined) throw validationError([{ path, message: 'a webhook of kind "jobs" has none: each job says its own (spec.webhook)' }])
}

/** Throws that there is none. */
export function noWebhook(id: string): never {
  throw new RGridError('not_found', `there is no webhook ${id} in this project`)
}
