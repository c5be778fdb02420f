import type { FastifyInstance, FastifyRequest } from 'fastify'
import { RGridError } from '#core/errors.ts'
import { authenticateKey, type Principal } from '#store/api-keys.ts'
import type { GatewayDeps } from '../deps.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by requireKey. */
    principal: Principal | null
  }
}

/** Asks for an API key before every route of this scope: `Authorization: Bearer …` or `X-RGrid-Key: …`. */
export function requireKey(app: FastifyInstance, deps: Pick<GatewayDeps, 'db'>): void {
  app.decorateRequest('principal', null)
  app.addHook('onRequest', async (request) => {
    const key = keyOf(request)
    if (key === undefined) throw new RGridError('unauthenticated', 'an API key is needed: "Authorization: Bearer rgrid_live_…" or "X-RGrid-Key: …"')
    request.principal = (await authenticateKey(deps.db, key)) ?? null
    if (!request.principal) throw new RGridError('unauthenticated', 'this API key is not known, or it is revoked or expired')
  })
}

/** Whom the request speaks for. Only within the scope of requireKey. */
export function principalOf(request: FastifyRequest): Principal {
  if (!request.principal) throw new RGridError('unauthenticated', 'an API key is needed')
  return request.principal
}

/** The same, where the address names the project: a project that is not the key's is not found. */
export function principalOfProject(request: FastifyRequest, slug: string): Principal {
  const principal = principalOf(request)
  if (principal.projectSlug !== slug)
    throw new RGridError('not_found', `there is no project "${slug}" that this key may use; its project is "${principal.projectSlug}"`)
  return principal
}

/** The same, where only operators may ask: throws when the key has neither the scope `operator` nor `*`. */
export function requireOperator(request: FastifyRequest): Principal {
  const principal = principalOf(request)
  if (!principal.scopes.some((scope) => scope === '*' || scope === 'operator'))
    throw new RGridError('forbidden', 'only operators may do this: the API key needs the scope "operator"')
  return principal
}

function keyOf(request: FastifyRequest): string | undefined {
  const bearer = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
  const header = request.headers['x-rgrid-key']
  return bearer ?? (typeof header === 'string' && header !== '' ? header : undefined)
}
