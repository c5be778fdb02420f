import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { maybe } from '#core/api.ts'
import { RGridError, validationError } from '#core/errors.ts'
import { NewWebhookBody, Rotation, WEBHOOK_EVENTS, WebhookChangeBody, WebhookView, WebhookWithSecret } from '#core/webhook-api.ts'
import { webhookUrlFault } from '#core/webhook-targets.ts'
import { changeWebhook, createWebhook, deleteWebhook, listWebhooks, MAX_WEBHOOKS, readWebhook, rotateWebhook } from '#store/webhooks.ts'
import type { GatewayDeps } from '../deps.ts'
import { principalOf, principalOfProject } from '../plugins/auth.ts'

const Slug = Type.Object({ slug: Type.String() })
const Id = Type.Object({ id: Type.String() })
const ONE_DAY_SECONDS = 86_400

/** The endpoints that a project has its events sent to. */
export const webhookRoutes: FastifyPluginAsyncTypebox<{ deps: GatewayDeps }> = async (app, { deps }) => {
  const checkUrl = (url: string) => {
    const fault = webhookUrlFault(url, deps.webhookTargets)
    if (fault) throw validationError([{ path: 'url', message: fault }])
  }

  app.post(
    '/projects/:slug/webhooks',
    {
      schema: {
        summary: 'Have events sent to an address; the secret is answered this once',
        params: Slug,
        body: NewWebhookBody,
        response: { 201: WebhookWithSecret },
      },
    },
    async (request, reply) => {
      const principal = principalOfProject(request, request.params.slug)
      const { kind = 'endpoint', url, events, description = null } = request.body
      if (kind === 'endpoint' && url === undefined) throw validationError([{ path: 'url', message: 'is required: where to send events' }])
      if (kind === 'jobs') refuseForJobs({ url, events })
      if (url !== undefined) checkUrl(url)
      const wanted = kind === 'jobs' ? [] : (events ?? [...WEBHOOK_EVENTS])
      const made = await createWebhook(deps.db, principal, { kind, url: url ?? null, events: wanted, description })
      if (made.status === 'full') throw new RGridError('conflict', `a project has at most ${MAX_WEBHOOKS} webhooks; delete one first`)
      if (made.status === 'exists')
        throw new RGridError(
          'conflict',
          'the project has its webhook of kind "jobs" already; a new secret: rgrid webhooks rotate WEBHOOK, or POST /v1/webhooks/:id/rotate',
        )
      return reply
        .code(201)
        .header('location', `/v1/webhooks/${made.webhook.id}`)
        .send({ ...made.webhook, secret: made.secret })
    },
  )

  app.get(
    '/projects/:slug/webhooks',
    { schema: { summary: 'The webhooks of a project', params: Slug, response: { 200: Type.Object({ items: Type.Array(WebhookView) }) } } },
    async (request) => ({ items: await listWebhooks(deps.db, principalOfProject(request, request.params.slug).projectId) }),
  )

  app.get('/webhooks/:id', { schema: { summary: 'A webhook', params: Id, response: { 200: WebhookView } } }, async (request) => {
    const found = await readWebhook(deps.db, principalOf(request).projectId, request.params.id)
    return found ?? noWebhook(request.params.id)
  })

  app.patch(
    '/webhooks/:id',
    { schema: { summary: 'Change a webhook, or switch it off or on', params: Id, body: WebhookChangeBody, response: { 200: WebhookView } } },
    async (request) => {
      const { projectId } = principalOf(request)
      const known = (await readWebhook(deps.db, projectId, request.params.id)) ?? noWebhook(request.params.id)
      if (known.kind === 'jobs') refuseForJobs(request.body)
      if (request.body.url !== undefined) checkUrl(request.body.url)
      return (await changeWebhook(deps.db, projectId, request.params.id, request.body)) ?? noWebhook(request.params.id)
    },
  )

  app.delete(
    '/webhooks/:id',
    { schema: { summary: 'Delete a webhook and the record of its deliveries', params: Id, response: { 204: Type.Null() } } },
    async (request, reply) => {
      if (!(await deleteWebhook(deps.db, principalOf(request).projectId, request.params.id))) noWebhook(request.params.id)
      return reply.code(204).send(null)
    },
  )

  app.post(
    '/webhooks/:id/rotate',
    { schema: { summary: 'Make a new secret; the old one signs too for a while', params: Id, body: maybe(Rotation), response: { 200: WebhookWithSecret } } },
    async (request) => {
      const overlapSeconds = request.body?.overlapSeconds ?? ONE_DAY_SECONDS
      const rotated = await rotateWebhook(deps.db, principalOf(request).projectId, request.params.id, overlapSeconds)
      return rotated ? { ...rotated.webhook, secret: rotated.secret } : noWebhook(request.params.id)
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
