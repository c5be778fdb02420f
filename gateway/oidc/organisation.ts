import { ROLES, type Role } from '#core/access.ts'

/** What a token says of its person's role in the organisation. */
export interface Standing {
  /** Null: the token gives none. */
  role: Role | null
  /** The issuer names roles, and none of them is in the table: what an earlier token gave is over. Of a token that names no role nothing follows. */
  isWithdrawn: boolean
}

/** The organisation that a token speaks for, by its issuer's own id. */
export interface Organisation extends Standing {
  id: string
  slug: string | null
  name: string | null
}

/** The role in an organisation of somebody whose issuer says none of ours, where no table says what its roles mean. */
const LEAST_ROLE: Role = 'viewer'

/** What somebody is by these roles of the issuer. `ours` is what they mean, `hasTable` whether the configuration says it. */
export function standing(theirs: unknown, ours: Role | null, hasTable: boolean): Standing {
  if (ours !== null) return { role: ours, isWithdrawn: false }
  if (!hasTable) return { role: LEAST_ROLE, isWithdrawn: false }
  return { role: null, isWithdrawn: (Array.isArray(theirs) ? theirs : [theirs]).some((role) => typeof role === 'string') }
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
