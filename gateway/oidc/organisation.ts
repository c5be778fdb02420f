import { ROLES, type Role } from '#core/access.ts'

/** The organisation that a token speaks for, by its issuer's own id. `role` is null when the issuer's role means none of ours. */
export interface Organisation {
  id: string
  slug: string | null
  name: string | null
  role: Role | null
}

/**
 * Our role for theirs; of several the mightiest. Without a table a role of ours means itself; with one only what it
 * names counts.
 */
export function mapRole(theirs: unknown, roles: Readonly<Record<string, Role>>): Role | null {
  const given = (Array.isArray(theirs) ? theirs : [theirs]).filter((role) => typeof role === 'string')
  const hasTable = Object.keys(roles).length > 0
  const ours = given.map((role) => (hasTable ? (Object.hasOwn(roles, role) ? roles[role] : undefined) : role))
  return ROLES.find((role) => ours.includes(role)) ?? null
}
