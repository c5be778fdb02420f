import type { Role } from '#core/access.ts'
import { type Claims, idClaim, textClaim } from './claims.ts'
import { mapRole, type Organisation, standing } from './organisation.ts'
import { RefusedToken } from './refused.ts'

/** What Clerk's own two roles mean when the configuration names none. It has no mightier one than `admin`, and an account needs an owner. */
const CLERK_ROLES: Readonly<Record<string, Role>> = { admin: 'owner', member: 'developer' }

/**
 * The active organisation of a session token of Clerk: version 2 has `o: {id, slg, rol}`, version 1 `org_id`, `org_slug` and
 * `org_role` (https://clerk.com/docs/backend-requests/resources/session-tokens). Null without one. Throws a RefusedToken
 * for a session that is not complete (`sts: "pending"`) and for a version that is not known.
 */
export function clerkOrganisation(claims: Claims, roles: Readonly<Record<string, Role>>): Organisation | null {
  if (claims.sts === 'pending') throw new RefusedToken('the session is pending')
  const version = claims.v ?? 1
  if (version !== 1 && version !== 2) throw new RefusedToken('the version of the session token is not known')
  const given = version === 2 ? versionTwo(claims.o) : { id: claims.org_id, slug: claims.org_slug, role: claims.org_role }
  const id = idClaim(given.id)
  if (id === null) return null
  return { id, slug: textClaim(given.slug, 100), name: null, ...standing(given.role, clerkRole(given.role, roles), Object.keys(roles).length > 0) }
}

function versionTwo(o: unknown): { id?: unknown; slug?: unknown; role?: unknown } {
  if (typeof o !== 'object' || o === null) return {}
  const { id, slg, rol } = o as Claims
  return { id, slug: slg, role: rol }
}

/** Version 1 says `org:admin`, version 2 `admin`; the configuration may say either. */
function clerkRole(theirs: unknown, roles: Readonly<Record<string, Role>>): Role | null {
  if (typeof theirs !== 'string') return null
  const table = Object.keys(roles).length > 0 ? roles : CLERK_ROLES
  const plain = Object.fromEntries(Object.entries(table).map(([name, role]) => [withoutPrefix(name), role]))
  return mapRole(withoutPrefix(theirs), plain)
}

function withoutPrefix(role: string): string {
  return role.replace(/^org:/, '')
}
