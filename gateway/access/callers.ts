import { createHash } from 'node:crypto'
import { OPERATOR } from '#core/access.ts'
import { RGridError } from '#core/errors.ts'
import { monotonicMs } from '#core/service/time.ts'
import { signIn } from '#store/accounts.ts'
import { authenticateKey } from '#store/api-keys.ts'
import type { DatabasePool } from '#store/pool.ts'
import type { Oidc } from '../oidc/oidc.ts'
import type { Caller } from './caller.ts'

/** What a request shows. `account` is the one that a person chose. */
export interface Credential {
  token: string
  account: string | undefined
}

/** Finds out whom credentials speak for. */
export interface Callers {
  /** Throws `unauthenticated`. */
  find(credential: Credential): Promise<Caller>
}

/** Well below the second within which a revoked key must not work any more, on any gateway. */
const REMEMBER_MS = 500
const MAX_REMEMBERED = 10_000

/** See the interface. What was found is remembered for half a second, so that a busy client does not ask Postgres each time. */
export function createCallers(pool: DatabasePool, oidc: Pick<Oidc, 'verify'> | undefined): Callers {
  const remembered = new Map<string, { caller: Promise<Caller>; untilMs: number }>()

  async function ofKey(token: string): Promise<Caller> {
    const key = await authenticateKey(pool, token)
    if (!key) throw new RGridError('unauthenticated', 'this API key is not known, or it is revoked or expired')
    const { id, name, accountId, project, scopes } = key
    return { kind: 'key', id, name, accountId, operator: scopes.includes(OPERATOR), project, scopes, role: null, projectRoles: new Map() }
  }

  async function ofToken(token: string, account: string | undefined): Promise<Caller> {
    if (!oidc) throw new RGridError('unauthenticated', 'this is no API key (rgrid_live_…), and no sign-in is configured here')
    const identity = await oidc.verify(token)
    const { userId, accountId, memberships } = await signIn(pool, identity)
    const chosen = account ?? accountId
    const own = memberships.filter((membership) => membership.accountId === chosen)
    if (own.length === 0) throw new RGridError('not_found', `there is no account ${chosen} that you are a member of; GET /v1/me lists yours`)
    return {
      kind: 'user',
      id: userId,
      name: identity.email ?? identity.name ?? identity.subject,
      accountId: chosen,
      operator: false,
      project: null,
      scopes: [],
      role: own.find((membership) => membership.projectId === null)?.role ?? null,
      projectRoles: new Map(own.flatMap(({ projectId, role }) => (projectId === null ? [] : [[projectId, role] as const]))),
    }
  }

  return {
    find({ token, account }) {
      const id = createHash('sha256')
        .update(`${account ?? ''} ${token}`)
        .digest('base64')
      const nowMs = monotonicMs()
      const known = remembered.get(id)
      if (known && known.untilMs > nowMs) return known.caller
      const caller = token.startsWith('rgrid_') ? ofKey(token) : ofToken(token, account)
      remembered.delete(id)
      remembered.set(id, { caller, untilMs: nowMs + REMEMBER_MS })
      // An error may pass: it is asked anew.
      caller.catch(() => remembered.get(id)?.caller === caller && remembered.delete(id))
      for (const [oldest, { untilMs }] of remembered) {
        if (untilMs > nowMs && remembered.size <= MAX_REMEMBERED) break
        remembered.delete(oldest)
      }
      return caller
    },
  }
}
