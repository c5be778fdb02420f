import { type Claims, claimAt, idClaim, textClaim } from './claims.ts'
import { clerkOrganisation } from './clerk.ts'
import type { IssuerConfig } from './config.ts'
import { mapRole, type Organisation, standing } from './organisation.ts'
import { RefusedToken } from './refused.ts'

/** Who a verified token is of: `issuer` and `subject` together name one user for ever. */
export interface Identity {
  issuer: string
  subject: string
  /** Null also when the issuer says that it was not verified. */
  email: string | null
  name: string | null
  organisation: Organisation | null
  expiresAtMs: number
  issuedAtMs: number
}

/** Reads verified claims as the issuer's configuration says. Throws a RefusedToken. */
export function toIdentity(config: IssuerConfig, claims: Claims): Identity {
  const subject = idClaim(claims.sub)
  if (subject === null) throw new RefusedToken('"sub" is no usable id')
  const isUnverified = claims.email_verified === false || claims.email_verified === 'false'
  return {
    issuer: config.issuer,
    subject,
    email: isUnverified ? null : emailOf(claimAt(claims, config.claims.email ?? 'email')),
    name: textClaim(claimAt(claims, config.claims.name ?? 'name'), 200),
    organisation: config.preset === 'clerk' ? clerkOrganisation(claims, config.roles) : organisationOf(config, claims),
    expiresAtMs: timeOf(claims.exp, 'exp'),
    issuedAtMs: timeOf(claims.iat, 'iat'),
  }
}

function organisationOf({ claims: paths, roles }: IssuerConfig, claims: Claims): Organisation | null {
  const at = (path: string | undefined) => (path === undefined ? undefined : claimAt(claims, path))
  const id = idClaim(at(paths.organisationId))
  if (id === null) return null
  const theirs = at(paths.organisationRole)
  return {
    id,
    slug: textClaim(at(paths.organisationSlug), 100),
    name: textClaim(at(paths.organisationName), 200),
    ...standing(theirs, mapRole(theirs, roles), Object.keys(roles).length > 0),
  }
}

/** Refused whole when it is too long: a cut address would be another's. */
function emailOf(value: unknown): string | null {
  const id = idClaim(value)
  return id !== null && /^[^\s@]+@[^\s@]+$/.test(id) ? id : null
}

function timeOf(seconds: unknown, claim: string): number {
  const ms = typeof seconds === 'number' ? Math.floor(seconds * 1000) : Number.NaN
  // The range of a Date, and of a timestamp in Postgres.
  if (!(ms >= 0 && ms <= 8.64e15)) throw new RefusedToken(`"${claim}" is no time`)
  return ms
}
