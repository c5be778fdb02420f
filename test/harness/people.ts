import { ROLES } from '#core/access.ts'
import { nowMs } from '#core/service/time.ts'
import type { Oidc } from '../../gateway/oidc/oidc.ts'
import { oidcFor, startIssuer } from './issuer.ts'

/** People who sign in at an issuer, for tests of what they may do afterwards. */
export interface People {
  issuer: string
  oidc: Oidc
  /** A new token of somebody; `organisation` is the one that is active in it, with a role (null: none is said); `agoSeconds` is its age. */
  token(subject: string, organisation?: { id: string; role: string | null }, agoSeconds?: number): Promise<string>
  stop(): Promise<void>
}

/** Makes a town of them. Call `stop` in the end. */
export async function createPeople(): Promise<People> {
  const issuer = await startIssuer()
  const claims = { organisationId: 'org', organisationName: 'org', organisationRole: 'role' }
  const { oidc } = oidcFor(issuer, { claims, roles: Object.fromEntries(ROLES.map((role) => [role, role])) })
  let tokens = 0
  return {
    issuer: issuer.url,
    oidc,
    token: (subject, organisation, agoSeconds = 0) =>
      issuer.sign({
        sub: subject,
        jti: String(tokens++),
        iat: Math.floor(nowMs() / 1000) - agoSeconds,
        email: `${subject}@example.test`,
        name: subject,
        ...(organisation ? { org: organisation.id, role: organisation.role ?? undefined } : {}),
      }),
    stop: () => issuer.stop(),
  }
}
