import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { AuditPage } from '#core/account-api.ts'
import { pageQuery } from '#core/list-api.ts'
import { listDeeds } from '#store/audit.ts'
import { inAccount, inProject } from '../access/access.ts'
import { callerOf, dbOf, projectOf } from '../access/authorise.ts'
import type { RouteOptions } from '../deps.ts'
import { positionOf, sendPage } from '../pages.ts'

const Query = Type.Object(
  {
    actor: Type.Optional(Type.String({ maxLength: 100, description: 'only what this one did: user_… or key_…' })),
    action: Type.Optional(Type.String({ maxLength: 100, description: 'only this, such as key.create' })),
    object: Type.Optional(Type.String({ maxLength: 100, description: 'only what was done to the object of this id' })),
    since: Type.Optional(Type.String({ format: 'date-time' })),
    until: Type.Optional(Type.String({ format: 'date-time' })),
    ...pageQuery(50, 200),
  },
  { additionalProperties: false },
)

/** Who did what, for those who answer for it. */
export const auditRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app) => {
  const read = async (request: FastifyRequest, reply: FastifyReply, query: Static<typeof Query>) => {
    const { actor, action, object, since, until, limit = 50 } = query
    const before = positionOf(request, 'number')
    const filter = { projectId: projectOf(request)?.id, actorId: actor, action, objectId: object, since, until, before, limit }
    return sendPage(request, reply, await listDeeds(dbOf(request), callerOf(request).accountId, filter))
  }

  app.get(
    '/account/audit',
    { ...inAccount('audit:read'), schema: { summary: 'Who did what in the account, the newest first', querystring: Query, response: { 200: AuditPage } } },
    (request, reply) => read(request, reply, request.query),
  )

  app.get(
    '/projects/:slug/audit',
    {
      ...inProject('audit:read'),
      schema: {
        summary: 'Who did what in a project, the newest first',
        params: Type.Object({ slug: Type.String() }),
        querystring: Query,
        response: { 200: AuditPage },
      },
    },
    (request, reply) => read(request, reply, request.query),
  )
}
