import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { ROLES, type Role } from '#core/access.ts'
import { maybe } from '#core/api.ts'
import { newId } from '#core/ids.ts'
import type { DatabasePool, Db } from './pool.ts'
import { row } from './row.ts'

const RoleWord = Type.Unsafe<Role>(Type.Union(ROLES.map((role) => Type.Literal(role))))
const SignedInRow = row(Type.Object({ user_id: Type.String(), account_id: maybe(Type.String()) }))
const MembershipRow = row(
  Type.Object({
    account_id: Type.String(),
    account_name: Type.String(),
    account_kind: Type.Unsafe<'personal' | 'organisation'>(Type.String()),
    project_id: maybe(Type.String()),
    role: RoleWord,
  }),
)

/** What a person may do in an account, or in one project of it. */
export interface Membership {
  accountId: string
  accountName: string
  accountKind: 'personal' | 'organisation'
  projectId: string | null
  role: Role
}

/** A person, as an OpenID provider vouches for them. */
export interface SignIn {
  issuer: string
  subject: string
  email: string | null
  name: string | null
  /** `role` null: the token gives none; `isWithdrawn`: it says that what the provider gave is over. */
  organisation: { id: string; name: string | null; role: Role | null; isWithdrawn: boolean } | null
  issuedAtMs: number
}

/** What makes a membership by the provider's word count: a good token that names its account, or one that did so not longer ago than this. */
export interface Vouching {
  accountId: string | null
  graceSeconds: number
}

/**
 * The person and the account that a token speaks for: of its organisation, else the person's own. Whoever, or whatever,
 * is seen for the first time is written down; the role in the organisation is what the provider said last. `accountId` is null
 * for an organisation that nobody with a role has come from; `isVouched`: the token gives a role in it.
 */
export async function signIn(pool: DatabasePool, who: SignIn): Promise<{ userId: string; accountId: string | null; isVouched: boolean }> {
  const org = who.organisation
  const { user_id, account_id } = await pool.one(sql.type(SignedInRow)`
    select user_id, account_id from rgrid_sign_in(${who.issuer}, ${who.subject}, ${who.email}, ${who.name},
      ${org?.id ?? null}, ${org?.name ?? null}, ${org?.role ?? null}, ${org?.isWithdrawn ?? false}, to_timestamp(${who.issuedAtMs / 1000}),
      ${newId('user')}, ${newId('account')})`)
  return { userId: user_id, accountId: account_id, isVouched: org === null || org.role !== null }
}

/** Every account and project that a person is a member of, as far as it counts now. */
export async function membershipsOf(pool: DatabasePool, userId: string, { accountId, graceSeconds }: Vouching): Promise<Membership[]> {
  const rows = await pool.any(sql.type(MembershipRow)`
    select account_id, account_name, account_kind, project_id, role from rgrid_memberships(${userId}, ${accountId}, ${graceSeconds})`)
  return rows.map((found) => ({
    accountId: found.account_id,
    accountName: found.account_name,
    accountKind: found.account_kind,
    projectId: found.project_id,
    role: found.role,
  }))
}

const AccountRow = row(
  Type.Object({ id: Type.String(), name: Type.String(), kind: Type.Unsafe<'personal' | 'organisation'>(Type.String()), created_at: Type.String() }),
)

/** An account as the API shows it; the caller's view of the database shows no other. */
export async function readAccount(db: Db, accountId: string) {
  const { created_at, ...account } = await db.one(sql.type(AccountRow)`select id, name, kind, created_at from accounts where id = ${accountId}`)
  return { ...account, createdAt: created_at }
}

/** Gives an account another name. */
export async function renameAccount(db: Db, accountId: string, name: string): Promise<void> {
  await db.query(sql.unsafe`update accounts set name = ${name} where id = ${accountId}`)
}

/** Whether there is an account of this id, in the view of `db`. */
export async function accountExists(db: Db, accountId: string): Promise<boolean> {
  return db.exists(sql.unsafe`select 1 from accounts where id = ${accountId}`)
}
