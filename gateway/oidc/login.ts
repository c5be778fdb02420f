import { RGridError } from '#core/errors.ts'
import type { Login } from '#core/sign-in-api.ts'
import type { Issuer } from './issuer.ts'

/**
 * How the command line signs in at those issuers that have a `login`. What the configuration leaves out, discovery tells; an
 * issuer that does not answer is left out. Throws `unavailable` when none answers.
 */
export async function findLogins(issuers: readonly Issuer[]): Promise<Login[]> {
  const offered = issuers.filter((issuer) => issuer.config.login !== undefined)
  const results = await Promise.allSettled(offered.map(loginOf))
  const logins = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value] : []))
  if (offered.length > 0 && logins.length === 0)
    throw new RGridError('unavailable', 'where to sign in cannot be found out at the moment: the issuer does not answer; try again')
  return logins
}

async function loginOf({ config, discover }: Issuer): Promise<Login> {
  const login = config.login
  if (login === undefined) throw new Error('no login')
  const isComplete = login.authorizationEndpoint !== undefined && login.tokenEndpoint !== undefined
  const found = isComplete ? undefined : await discover()
  const authorizationEndpoint = login.authorizationEndpoint ?? found?.authorizationEndpoint
  const tokenEndpoint = login.tokenEndpoint ?? found?.tokenEndpoint
  if (!authorizationEndpoint || !tokenEndpoint) throw new Error('the issuer names no endpoints')
  return {
    issuer: config.issuer,
    clientId: login.clientId,
    scopes: [...login.scopes],
    authorizationEndpoint,
    tokenEndpoint,
    deviceAuthorizationEndpoint: login.deviceAuthorizationEndpoint ?? found?.deviceAuthorizationEndpoint ?? null,
    audience: config.audiences[0] ?? null,
  }
}
