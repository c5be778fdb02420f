import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { RGridError } from '#core/errors.ts'
import { AccountLimitsChange, AccountLimitsView, LimitsChange, LimitsView } from '#core/limit-api.ts'
import { accountExists } from '#store/accounts.ts'
import { changeLimits, readLimits } from '#store/limits.ts'
import type { Db } from '#store/pool.ts'
import { readUsage } from '#store/usage.ts'
import { inAccount, inProject, OPERATORS } from '../access/access.ts'
import { callerOf, dbOf, principalOf } from '../access/authorise.ts'
import { audit, auditOperator } from '../audit.ts'
import type { RouteOptions } from '../deps.ts'

const Slug = Type.Object({ slug: Type.String() })
const AccountId = Type.Object({ id: Type.String({ description: 'of the account; "default": every account that does not say otherwise' }) })

/** What accounts and projects may use, and what they do use. */
export const limitRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { known }) => {
  app.get(
    '/projects/:slug/limits',
    {
      ...inProject('usage:read'),
      schema: { summary: 'The limits of a project and its account, and what is used', params: Slug, response: { 200: LimitsView } },
    },
    (request) => ofProject(dbOf(request), principalOf(request)),
  )

  app.patch(
    '/projects/:slug/limits',
    {
      ...inProject('project:admin'),
      schema: { summary: 'Change the limits of a project; those of its account hold as well', params: Slug, body: LimitsChange, response: { 200: LimitsView } },
    },
    async (request) => {
      const { accountId, projectId } = principalOf(request)
      const view = await dbOf(request).transaction(async (tx) => {
        await changeLimits(tx, { accountId, projectId }, request.body)
        await audit(tx, request, 'limits.change', projectId, request.body)
        return ofProject(tx, { accountId, projectId })
      })
      known.forget()
      return view
    },
  )

  app.get(
    '/account/limits',
    { ...inAccount('usage:read'), schema: { summary: 'The limits of the account, and what is used', response: { 200: AccountLimitsView } } },
    (request) => ofAccount(dbOf(request), callerOf(request).accountId),
  )

  app.patch(
    '/accounts/:id/limits',
    {
      ...OPERATORS,
      schema: {
        summary: 'Change the limits of an account, or those of all that have none of their own',
        params: AccountId,
        body: AccountLimitsChange,
        response: { 200: AccountLimitsView },
      },
    },
    async (request) => {
      const { id } = request.params
      const view = await dbOf(request).transaction(async (tx) => {
        const accountId = id === 'default' ? null : id
        if (accountId !== null && !(await accountExists(tx, accountId))) throw new RGridError('not_found', `there is no account ${id}`)
        await changeLimits(tx, accountId === null ? 'default' : { accountId, projectId: null }, request.body)
        await auditOperator(tx, request, accountId, 'limits.change', id, request.body)
        return ofAccount(tx, id)
      })
      known.forget()
      return view
    },
  )
}

async function ofAccount(db: Db, accountId: string): Promise<AccountLimitsView> {
  const { account, weight } = await readLimits(db, accountId, null)
  return { limits: account, usage: await readUsage(db, accountId, null), weight }
}

async function ofProject(db: Db, { accountId, projectId }: { accountId: string; projectId: string }): Promise<LimitsView> {
  const { account, project, weight } = await readLimits(db, accountId, projectId)
  return {
    limits: { account, project },
    usage: { account: await readUsage(db, accountId, null), project: await readUsage(db, accountId, projectId) },
    weight,
  }
}
