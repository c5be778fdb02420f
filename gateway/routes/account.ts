import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { AccountChange, AccountView, MeView } from '#core/account-api.ts'
import { membershipsOf, readAccount, renameAccount } from '#store/accounts.ts'
import { CALLERS, inAccount } from '../access/access.ts'
import { callerOf, dbOf } from '../access/authorise.ts'
import { vouchedFor } from '../access/callers.ts'
import { audit } from '../audit.ts'
import type { RouteOptions } from '../deps.ts'

/** Whom a credential speaks for, and the account behind it. */
export const accountRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  app.get('/me', { ...CALLERS, schema: { summary: 'Whom the credential speaks for, and what it may do', response: { 200: MeView } } }, async (request) => {
    const caller = callerOf(request)
    const accounts = new Map<string, MeView['accounts'][number]>()
    const vouching = { accountId: vouchedFor(caller), graceSeconds: deps.organisationGraceSeconds }
    for (const { accountId, accountName, accountKind, projectId, role } of caller.kind === 'user' ? await membershipsOf(deps.pool, caller.id, vouching) : []) {
      const own = accounts.get(accountId)?.role ?? null
      accounts.set(accountId, { id: accountId, name: accountName, kind: accountKind, role: projectId === null ? role : own })
    }
    const { kind, id, name, role, project, scopes } = caller
    const account = await readAccount(dbOf(request), caller.accountId)
    return { kind, id, name, account, project: project?.slug ?? null, role, scopes: [...scopes], accounts: [...accounts.values()] }
  })

  app.get('/account', { ...inAccount('account:read'), schema: { summary: 'The account', response: { 200: AccountView } } }, (request) =>
    readAccount(dbOf(request), callerOf(request).accountId),
  )

  app.patch(
    '/account',
    { ...inAccount('account:admin'), schema: { summary: 'Give the account another name', body: AccountChange, response: { 200: AccountView } } },
    async (request) => {
      const { accountId } = callerOf(request)
      return dbOf(request).transaction(async (tx) => {
        await renameAccount(tx, accountId, request.body.name)
        await audit(tx, request, 'account.change', accountId, request.body)
        return readAccount(tx, accountId)
      })
    },
  )
}
