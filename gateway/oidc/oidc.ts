import { decodeJwt, errors } from 'jose'
import { errorText, RGridError } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop } from '#core/service/loop.ts'
import type { Service } from '#core/service/run.ts'
import type { Login } from '#core/sign-in-api.ts'
import { createAskIssuer } from './ask-issuer.ts'
import type { OidcConfig } from './config.ts'
import type { Identity } from './identity.ts'
import { createIssuer } from './issuer.ts'
import { findLogins } from './login.ts'
import { RefusedToken } from './refused.ts'

/** Takes tokens of the configured issuers. As a service it keeps their keys fresh; it works, later, without being started. */
export interface Oidc extends Service {
  /**
   * Who a bearer token is of. Throws `unauthenticated`, always in the same words, for one that is not valid, and
   * `unavailable` when that cannot be found out: the issuer does not answer and its keys are not known yet.
   */
  verify(token: string): Promise<Identity>
  /** How the command line signs in, for each issuer that is set up for it and answers. Throws `unavailable` when none of them does. */
  logins(): Promise<Login[]>
}

/** Times of an Oidc in milliseconds; tests change them. */
export interface OidcTiming {
  cooldownMs: number
  maxAgeMs: number
  timeoutMs: number
  pauseMs: number
  reloadEveryMs: number
}

/** Keys an issuer withdraws are let go after five minutes; while it does not answer, those known are good for a day. */
const TIMING: OidcTiming = { cooldownMs: 30_000, maxAgeMs: 86_400_000, timeoutMs: 5000, pauseMs: 5000, reloadEveryMs: 300_000 }

/** Longer than any token that fits a header; looked at before anything is parsed. */
const MAX_TOKEN_LENGTH = 8192

/** What an Oidc stands on. */
export interface OidcDeps {
  log: Log
  fetch?: typeof fetch
  timing?: Partial<OidcTiming>
}

/** Makes one; asks nobody before it is started or first used. */
export function createOidc(config: OidcConfig, deps: OidcDeps): Oidc {
  const timing = { ...TIMING, ...deps.timing }
  const stopping = new AbortController()
  const ask = createAskIssuer({ ...timing, fetch: deps.fetch ?? fetch, log: deps.log, signal: stopping.signal })
  const issuers = new Map(config.map((entry) => [entry.issuer, createIssuer(entry, ask, timing)]))
  const all = [...issuers.values()]
  const refresher = createLoop({
    name: 'oidc',
    everyMs: timing.reloadEveryMs,
    log: deps.log,
    async round() {
      // Keys that are there stay good; why an issuer gave no others was logged.
      await Promise.allSettled(all.map((issuer) => issuer.reload()))
    },
  })

  async function check(token: string): Promise<Identity> {
    if (token.length > MAX_TOKEN_LENGTH) throw new RefusedToken('longer than a token may be')
    const issuer = issuers.get(decodeJwt(token).iss ?? '')
    if (!issuer) throw new RefusedToken('no such issuer is configured')
    return issuer.verify(token)
  }

  return {
    name: refresher.name,
    start: refresher.start,
    async stop() {
      stopping.abort()
      await refresher.stop()
    },
    async verify(token) {
      try {
        return await check(token)
      } catch (error) {
        if (error instanceof RGridError) throw error
        const isExpected = error instanceof RefusedToken || error instanceof errors.JOSEError
        if (isExpected) deps.log.debug({ error: errorText(error) }, 'a token was refused')
        else deps.log.warn({ error: errorText(error) }, 'a token was refused')
        throw new RGridError('unauthenticated', 'this token is not valid, or not any more; sign in again')
      }
    },
    logins: () => findLogins(all),
  }
}
