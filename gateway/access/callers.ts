import { createHash } from 'node:crypto'
import { OPERATOR } from '#core/access.ts'
import { RGridError } from '#core/errors.ts'
import { monotonicMs, nowMs } from '#core/service/time.ts'
import { type Membership, membershipsOf, signIn } from '#store/accounts.ts'
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
  /**
   * The same caller as it is by now, for what goes on long after it was let in: a key must still be good, a person still a member.
   * A token need not be: it was good for the request; what it says of an organisation holds as long as it is good, and for the
   * configured time. Throws `unauthenticated`.
   */
  again(caller: Caller, credential: Credential): Promise<Caller>
}

/** Well below the second within which a revoked key must not work any more, on any gateway. */
const REMEMBER_MS = 500
const MAX_REMEMBERED = 10_000

/** The account whose membership needs no grace, as a token that is still good names it. */
export function vouchedFor({ vouched }: Pick<Caller, 'vouched'>): string | null {
  return vouched && vouched.untilMs > nowMs() ? vouched.accountId : null
}

/**
 * See the interface. What was found is remembered for half a second, so that a busy client does not ask Postgres each time.
 * `graceSeconds`: how long a membership by the provider's word counts for tokens that do not name the organisation.
 */
export function createCallers(pool: DatabasePool, oidc: Pick<Oidc, 'verify'> | undefined, graceSeconds: number): Callers {
  const remembered = new Map<string, { caller: Promise<Caller>; untilMs: number }>()

  async function ofKey(token: string): Promise<Caller> {
    const key = await authenticateKey(pool, token)
    if (!key) throw new RGridError('unauthenticated', 'this API key is not known, or it is revoked or expired')
    const { id, name, accountId, project, scopes } = key
    return { kind: 'key', id, name, accountId, operator: scopes.includes(OPERATOR), project, scopes, role: null, projectRoles: new Map(), vouched: null }
  }

  async function ofToken(token: string, account: string | undefined): Promise<Caller> {
    if (!oidc) throw new RGridError('unauthenticated', 'this is no API key (rgrid_live_…), and no sign-in is configured here')
    const identity = await oidc.verify(token)
    const { userId, accountId, isVouched } = await signIn(pool, identity)
    const vouched = accountId !== null && isVouched ? { accountId, untilMs: identity.expiresAtMs } : null
    const memberships = await membershipsOf(pool, userId, { accountId: vouched?.accountId ?? null, graceSeconds })
    const chosen = account ?? accountId
    const roles = chosen === null ? undefined : rolesIn(chosen, memberships)
    if (chosen === null || !roles) throw account === undefined ? noRole() : noAccount(account)
    const name = identity.email ?? identity.name ?? identity.subject
    return { kind: 'user', id: userId, name, accountId: chosen, operator: false, project: null, scopes: [], ...roles, vouched }
  }

  return {
    async again(caller, credential) {
      if (caller.kind === 'key') return this.find(credential)
      const roles = rolesIn(caller.accountId, await membershipsOf(pool, caller.id, { accountId: vouchedFor(caller), graceSeconds }))
      if (!roles) throw new RGridError('unauthenticated', 'you are no member of the account any more')
      return { ...caller, ...roles }
    },
    find({ token, account }) {
      const id = createHash('sha256')
        .update(`${account ?? ''} ${token}`)
        .digest('base64')
      const timeMs = monotonicMs()
      const known = remembered.get(id)
      if (known && known.untilMs > timeMs) return known.caller
      const caller = token.startsWith('rgrid_') ? ofKey(token) : ofToken(token, account)
      remembered.delete(id)
      remembered.set(id, { caller, untilMs: timeMs + REMEMBER_MS })
      // An error may pass: it is asked anew.
      caller.catch(() => remembered.get(id)?.caller === caller && remembered.delete(id))
      for (const [oldest, { untilMs }] of remembered) {
        if (untilMs > timeMs && remembered.size <= MAX_REMEMBERED) break
        remembered.delete(oldest)
      }
      return caller
    },
  }
}

function noAccount(account: string): RGridError {
  return new RGridError('not_found', `there is no account ${account} that you are a member of; GET /v1/me lists yours`)
}

function noRole(): RGridError {
  return new RGridError(
    'forbidden',
    'you have no role here in the organisation that your token names: the sign-in provider names none that counts, or somebody took you out; ask an owner of it',
  )
}

/** What somebody is in an account, and in projects of it; undefined when nothing. */
function rolesIn(accountId: string, memberships: readonly Membership[]): Pick<Caller, 'role' | 'projectRoles'> | undefined {
  const own = memberships.filter((membership) => membership.accountId === accountId)
  if (own.length === 0) return undefined
  return {
    role: own.find((membership) => membership.projectId === null)?.role ?? null,
    projectRoles: new Map(own.flatMap(({ projectId, role }) => (projectId === null ? [] : [[projectId, role] as const]))),
  }
}
