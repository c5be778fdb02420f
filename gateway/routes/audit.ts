import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type Static, Type } from '@sinclair/typebox'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { AuditPage, OperatorAuditPage } from '#core/account-api.ts'
import { pageQuery } from '#core/list-api.ts'
import { type AuditFilter, listDeeds, listOperatorDeeds } from '#store/audit.ts'
import { inAccount, inProject, OPERATORS } from '../access/access.ts'
import { callerOf, dbOf, projectOf } from '../access/authorise.ts'
import type { RouteOptions } from '../deps.ts'
import { positionOf, sendPage } from '../pages.ts'

const filters = {
  actor: Type.Optional(Type.String({ maxLength: 100, description: 'only what this one did: user_… or key_…' })),
  action: Type.Optional(Type.String({ maxLength: 100, description: 'only this, such as key.create' })),
  object: Type.Optional(Type.String({ maxLength: 100, description: 'only what was done to the object of this id' })),
  since: Type.Optional(Type.String({ format: 'date-time' })),
  until: Type.Optional(Type.String({ format: 'date-time' })),
  ...pageQuery(50, 200),
}
const Query = Type.Object(filters, { additionalProperties: false })
const OperatorQuery = Type.Object(
  { ...filters, account: Type.Optional(Type.String({ maxLength: 100, description: 'only what concerns the account of this id' })) },
  { additionalProperties: false },
)

/** Who did what, for those who answer for it. */
export const auditRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app) => {
  const read = async (request: FastifyRequest, reply: FastifyReply, query: Static<typeof Query>) => {
    const owner = { accountId: callerOf(request).accountId, projectId: projectOf(request)?.id }
    return sendPage(request, reply, await listDeeds(dbOf(request), owner, filterOf(request, query)))
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

  app.get(
    '/audit',
    { ...OPERATORS, schema: { summary: 'What operators did, the newest first', querystring: OperatorQuery, response: { 200: OperatorAuditPage } } },
    async (request, reply) => sendPage(request, reply, await listOperatorDeeds(dbOf(request), request.query.account, filterOf(request, request.query))),
  )
}

function filterOf(request: FastifyRequest, { actor, action, object, since, until, limit = 50 }: Static<typeof Query>): AuditFilter {
  return { actorId: actor, action, objectId: object, since, until, before: positionOf(request, 'number'), limit }
}
