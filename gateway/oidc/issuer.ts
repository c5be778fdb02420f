import { errors, type JWTPayload, jwtVerify } from 'jose'
import { nowMs } from '#core/service/time.ts'
import type { AskIssuer } from './ask-issuer.ts'
import type { IssuerConfig } from './config.ts'
import { createDiscovery, type Metadata } from './discovery.ts'
import { type Identity, toIdentity } from './identity.ts'
import { createKeySet, type KeySetTiming } from './key-set.ts'
import { RefusedToken } from './refused.ts'

/** What `typ` of the header may say: others (`logout+jwt`, `secevent+jwt`) are signed with the same keys, and no one's sign-in. */
const TOKEN_TYPES: readonly unknown[] = [undefined, 'jwt', 'at+jwt', 'application/at+jwt', 'application/jwt']

/** One issuer whose tokens are taken. */
export interface Issuer {
  config: IssuerConfig
  /** Throws `unavailable`, or anything else for a token that is not to be taken. */
  verify(token: string): Promise<Identity>
  discover(): Promise<Metadata>
  reload(): Promise<void>
}

/** See Issuer. */
export function createIssuer(config: IssuerConfig, ask: AskIssuer, timing: KeySetTiming): Issuer {
  const discover = createDiscovery(config.issuer, ask)
  const keys = createKeySet(async () => config.jwksUrl ?? (await discover()).jwksUrl, ask, timing)
  return {
    config,
    discover,
    reload: keys.reload,
    async verify(token) {
      const { payload, protectedHeader } = await jwtVerify(token, keys.key, {
        algorithms: [...config.algorithms],
        issuer: config.issuer,
        ...(config.audiences.length > 0 ? { audience: [...config.audiences] } : {}),
        requiredClaims: ['exp', 'iat', 'sub'],
        clockTolerance: config.clockToleranceSeconds,
      })
      if (!TOKEN_TYPES.includes(protectedHeader.typ?.toLowerCase())) throw new RefusedToken('"typ" is of another kind of token')
      checkIssuedAt(config, payload)
      checkParty(config, payload)
      return toIdentity(config, payload)
    },
  }
}

/** jose looks at `iat` only beside a greatest age. */
function checkIssuedAt(config: IssuerConfig, { iat }: JWTPayload): void {
  if (iat === undefined || iat > nowMs() / 1000 + config.clockToleranceSeconds) throw new RefusedToken('"iat" is in the future')
}

/**
 * Whom the issuer made the token for: `azp` in tokens of a session, `client_id` in access tokens (RFC 9068, 2.2). One that
 * names nobody is only taken when its audience was checked, or from Clerk, whose native sessions have none.
 */
function checkParty(config: IssuerConfig, payload: JWTPayload): void {
  if (config.authorizedParties.length === 0) return
  const parties = [payload.azp, payload.client_id].filter((party) => party !== undefined)
  if (parties.length === 0 && config.audiences.length === 0 && config.preset !== 'clerk')
    throw new errors.JWTClaimValidationFailed('missing required "azp" claim', payload, 'azp', 'missing')
  if (!parties.every((party) => typeof party === 'string' && config.authorizedParties.includes(party)))
    throw new errors.JWTClaimValidationFailed('unexpected "azp" claim value', payload, 'azp', 'check_failed')
}
