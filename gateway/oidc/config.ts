import { readFileSync } from 'node:fs'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { ROLES } from '#core/access.ts'
import { errorText } from '#core/errors.ts'
import { isSecureUrl } from '#core/secure-url.ts'
import { ConfigError } from '#core/service/config.ts'

/** Signatures with a public key only: with a shared secret the gateway could make tokens itself, and "none" is no signature. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'Ed25519'] as const

const strict = { additionalProperties: false }
const Words = Type.Array(Type.String({ minLength: 1, maxLength: 500 }), { default: [], uniqueItems: true })
const Address = Type.String({ maxLength: 2000 })
const Path = Type.String({ minLength: 1, maxLength: 300, description: 'it must be the path of a claim, such as "org.id"' })
const RoleName = Type.Union(
  ROLES.map((role) => Type.Literal(role)),
  { description: `it must be one of ${ROLES.join(', ')}` },
)

const Claims = Type.Object(
  {
    email: Type.Optional(Path),
    name: Type.Optional(Path),
    organisationId: Type.Optional(Path),
    organisationSlug: Type.Optional(Path),
    organisationName: Type.Optional(Path),
    organisationRole: Type.Optional(Path),
  },
  { ...strict, default: {} },
)

const LoginConfig = Type.Object(
  {
    clientId: Type.String({ minLength: 1, maxLength: 500 }),
    scopes: Type.Array(Type.String({ pattern: '^[\\x21\\x23-\\x5B\\x5D-\\x7E]+$' }), { default: ['openid', 'profile', 'email'], uniqueItems: true }),
    authorizationEndpoint: Type.Optional(Address),
    tokenEndpoint: Type.Optional(Address),
    deviceAuthorizationEndpoint: Type.Optional(Address),
  },
  strict,
)

/** One issuer whose tokens the gateway takes (docs/SIGN_IN.md says what each field does). */
export const IssuerConfig = Type.Object(
  {
    issuer: Address,
    jwksUrl: Type.Optional(Address),
    audiences: Words,
    authorizedParties: Words,
    algorithms: Type.Array(
      Type.Union(
        ALGORITHMS.map((name) => Type.Literal(name)),
        { description: `it must be one of ${ALGORITHMS.join(', ')}; shared secrets (HS…) and "none" are never taken` },
      ),
      { default: ['RS256', 'ES256', 'EdDSA'], minItems: 1, uniqueItems: true },
    ),
    claims: Claims,
    roles: Type.Record(Type.String(), RoleName, { default: {} }),
    preset: Type.Optional(Type.Literal('clerk')),
    clockToleranceSeconds: Type.Integer({ default: 5, minimum: 0, maximum: 300 }),
    login: Type.Optional(LoginConfig),
  },
  strict,
)
/** See the schema of the same name. */
export type IssuerConfig = Static<typeof IssuerConfig>

/** All issuers; no two of the same name. */
export type OidcConfig = readonly IssuerConfig[]

const Issuers = Type.Array(IssuerConfig, { minItems: 1 })

/** Reads the file that RGRID_OIDC_FILE names. Throws a ConfigError that lists all its faults. */
export function readOidcFile(path: string): OidcConfig {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    throw new ConfigError([`RGRID_OIDC_FILE: ${path} cannot be read as JSON: ${errorText(error)}`])
  }
  return parseOidcConfig(value, `RGRID_OIDC_FILE ${path}`)
}

/** Checks the list of issuers and fills in what it leaves out; `source` is for messages. Throws a ConfigError with all faults. */
export function parseOidcConfig(value: unknown, source: string): OidcConfig {
  const filled = Value.Default(Issuers, structuredClone(value))
  const faults = [...Value.Errors(Issuers, filled)].map(({ path, message, schema }) => `${path || '/'}: ${schema.description ?? message}`)
  if (faults.length === 0) faults.push(...(filled as IssuerConfig[]).flatMap((issuer, index, all) => issuerFaults(issuer, index, all)))
  if (faults.length > 0) throw new ConfigError(faults.map((fault) => `${source}: ${fault}`))
  return filled as OidcConfig
}

function issuerFaults(config: IssuerConfig, index: number, all: readonly IssuerConfig[]): string[] {
  const faults: string[] = []
  const at = `/${index}`
  const addresses = { issuer: config.issuer, jwksUrl: config.jwksUrl, ...endpoints(config) }
  for (const [field, address] of Object.entries(addresses)) {
    if (address !== undefined && !isSecureUrl(address)) faults.push(`${at}/${field}: it must be an https address (http only for this machine itself)`)
  }
  if (/[?#]/.test(config.issuer)) faults.push(`${at}/issuer: it can have no "?" and no "#"`)
  if (all.findIndex((other) => other.issuer === config.issuer) !== index) faults.push(`${at}/issuer: another entry has the same`)
  if (config.audiences.length === 0 && config.authorizedParties.length === 0)
    faults.push(`${at}: name audiences or authorizedParties: without either, tokens that the issuer made for other services would be taken`)
  if (config.preset === 'clerk' && Object.keys(config.claims).some((claim) => claim.startsWith('organisation')))
    faults.push(`${at}/claims: with the preset "clerk" the claims of the organisation are known; leave them out`)
  const organisation = Object.keys(config.claims).filter((claim) => claim.startsWith('organisation'))
  if (organisation.length > 0 && config.claims.organisationId === undefined) faults.push(`${at}/claims: ${organisation[0]} says nothing without organisationId`)
  return faults
}

function endpoints({ login }: IssuerConfig): Record<string, string | undefined> {
  return {
    'login/authorizationEndpoint': login?.authorizationEndpoint,
    'login/tokenEndpoint': login?.tokenEndpoint,
    'login/deviceAuthorizationEndpoint': login?.deviceAuthorizationEndpoint,
  }
}
