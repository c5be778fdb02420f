import { isSecureUrl } from '#core/secure-url.ts'
import type { AskIssuer } from './ask-issuer.ts'

/** What an issuer says of itself. */
export interface Metadata {
  jwksUrl: string
  authorizationEndpoint: string | null
  tokenEndpoint: string | null
  deviceAuthorizationEndpoint: string | null
}

/**
 * Finds an issuer's addresses once and remembers them; failures are not remembered. The document must name the very issuer
 * that was asked (OpenID Connect Discovery 1.0, 4.3), and every address in it must be secure.
 */
export function createDiscovery(issuer: string, ask: AskIssuer): () => Promise<Metadata> {
  let found: Promise<Metadata> | undefined

  async function discover(): Promise<Metadata> {
    const document = await ask(`${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`)
    if (typeof document !== 'object' || document === null) throw new Error('the discovery document is no object')
    const fields = document as Readonly<Record<string, unknown>>
    if (fields.issuer !== issuer) throw new Error('the discovery document is of another issuer')
    const jwksUrl = address(fields.jwks_uri)
    if (jwksUrl === null) throw new Error('the discovery document has no usable jwks_uri')
    return {
      jwksUrl,
      authorizationEndpoint: address(fields.authorization_endpoint),
      tokenEndpoint: address(fields.token_endpoint),
      deviceAuthorizationEndpoint: address(fields.device_authorization_endpoint),
    }
  }

  return () => {
    found ??= discover().catch((error: unknown) => {
      found = undefined
      throw error
    })
    return found
  }
}

function address(value: unknown): string | null {
  return typeof value === 'string' && isSecureUrl(value) ? value : null
}
