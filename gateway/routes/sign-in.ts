import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { SignInView } from '#core/sign-in-api.ts'
import { OPEN } from '../access/access.ts'
import type { RouteOptions } from '../deps.ts'

/** What one needs to know to sign in, so it is asked without a credential. */
export const signInRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  app.get('/auth', { ...OPEN, schema: { summary: 'Where people can sign in', security: [], response: { 200: SignInView } } }, async () => ({
    issuers: (await deps.oidc?.logins()) ?? [],
  }))
}
