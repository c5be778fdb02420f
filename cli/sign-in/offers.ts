import { Value } from '@sinclair/typebox/value'
import { RGridError } from '#core/errors.ts'
import { isSecureUrl } from '#core/secure-url.ts'
import { type Login, SignInView } from '#core/sign-in-api.ts'
import type { Questions } from '../questions.ts'
import { chooseOne } from './choose.ts'

const DEADLINE_MS = 20_000

/**
 * Where a gateway lets people sign in; nothing when it takes keys only, or is older than sign-in, or when its word cannot be
 * trusted: without TLS anybody on the way could name an issuer of their own. Throws `unavailable`.
 */
export async function findLogins(apiUrl: string): Promise<Login[]> {
  if (!isSecureUrl(apiUrl)) return []
  const response = await fetch(`${apiUrl}/v1/auth`, { redirect: 'manual', signal: AbortSignal.timeout(DEADLINE_MS) }).catch((error: unknown) => {
    throw new RGridError('unavailable', `${apiUrl} does not answer; is it running?`, { cause: error })
  })
  const body: unknown = await response.json().catch(() => undefined)
  if (response.status >= 500) throw new RGridError('unavailable', `${apiUrl} cannot say where to sign in at the moment; try again, or use --with-key`)
  if (response.status !== 200 || !Value.Check(SignInView, body)) return []
  // Others would see the code or the token on the way, or it is no address of the web at all.
  const isSafe = (login: Login) =>
    [login.authorizationEndpoint, login.tokenEndpoint, login.deviceAuthorizationEndpoint].every((url) => url === null || isSecureUrl(url))
  return body.issuers.filter(isSafe)
}

/** The login that the user means: `wanted`, or the only one, or the one they name. Throws a UsageError. */
export async function chooseLogin(logins: readonly Login[], wanted: string | undefined, questions: Questions): Promise<Login> {
  return chooseOne({ items: logins, namesOf: ({ issuer }) => [issuer], wanted, option: '--issuer', what: 'issuer' }, questions)
}
