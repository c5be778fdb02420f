import { decodeJwt } from 'jose'
import { RGridError } from '#core/errors.ts'
import { DeadlineError, nowMs, withDeadline } from '#core/service/time.ts'
import type { Login } from '#core/sign-in-api.ts'
import { openCallback } from './callback-server.ts'
import { createPkce, randomWord } from './pkce.ts'
import { accessTokenOf, postForm } from './token-request.ts'

/** How long the user has in the browser. */
const DEADLINE_MS = 10 * 60_000

/**
 * Signs in through the browser: authorisation code with PKCE, back to a port of this machine (RFC 8252). `show` is given the
 * address to open. Resolves with the access token; throws an RGridError.
 */
export async function signInByBrowser(login: Login, show: (url: string) => void, signal?: AbortSignal): Promise<string> {
  const [pkce, state, nonce] = [createPkce(), randomWord(), randomWord()]
  const callback = await openCallback(state, login.issuer)
  try {
    const url = new URL(login.authorizationEndpoint)
    const parameters = {
      response_type: 'code',
      client_id: login.clientId,
      redirect_uri: callback.redirectUri,
      scope: login.scopes.join(' '),
      state,
      nonce,
      code_challenge: pkce.challenge,
      code_challenge_method: 'S256',
      ...audienceOf(login),
    }
    for (const [name, value] of Object.entries(parameters)) url.searchParams.set(name, value)
    show(url.href)
    const code = await withDeadline('the sign-in', DEADLINE_MS, () => callback.code, signal).catch((error: unknown) => {
      throw error instanceof DeadlineError ? new RGridError('forbidden', 'nobody signed in within 10 minutes; run "rgrid init" again') : error
    })
    const form = { grant_type: 'authorization_code', code, redirect_uri: callback.redirectUri, client_id: login.clientId, code_verifier: pkce.verifier }
    const answer = await postForm(login.tokenEndpoint, { ...form, ...audienceOf(login) }, signal)
    const token = accessTokenOf(answer)
    if (login.scopes.includes('openid')) checkIdToken(answer.fields.id_token, login, nonce)
    return token
  } finally {
    await callback.close()
  }
}

/**
 * How an issuer is told what the token is for: `audience` is the way of Auth0, `resource` that of RFC 8707, whose values
 * are URIs. Others overlook what they do not know.
 */
export function audienceOf({ audience }: Login): Record<string, string> {
  if (audience === null) return {}
  return URL.canParse(audience) && !audience.includes('#') ? { audience, resource: audience } : { audience }
}

/**
 * That the answer is to this very request (OpenID Connect Core 1.0, 3.1.3.7). The signature says nothing more here: the token
 * came from the issuer itself.
 */
function checkIdToken(idToken: unknown, login: Login, nonce: string): void {
  const claims = decode(idToken)
  const audiences = [claims?.aud].flat()
  const isOurs = claims?.iss === login.issuer && audiences.includes(login.clientId) && claims.nonce === nonce
  if (!isOurs || typeof claims?.exp !== 'number' || claims.exp * 1000 < nowMs() - 60_000)
    throw new RGridError('forbidden', 'the issuer’s answer belongs to another sign-in; run "rgrid init" again')
}

function decode(idToken: unknown): ReturnType<typeof decodeJwt> | undefined {
  try {
    return decodeJwt(String(idToken))
  } catch {
    return undefined
  }
}
