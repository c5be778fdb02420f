import { Type } from '@sinclair/typebox'
import { ForeignKeyIntegrityConstraintViolationError, sql } from 'slonik'
import { ROLES, type Role } from '#core/access.ts'
import type { MemberView } from '#core/account-api.ts'
import { maybe } from '#core/api.ts'
import { type Page, type PageWish, toPage } from './page.ts'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'

const RoleWord = Type.Unsafe<Role>(Type.Union(ROLES.map((role) => Type.Literal(role))))
const Columns = Type.Object({
  user_id: Type.String(),
  email: maybe(Type.String()),
  name: maybe(Type.String()),
  role: RoleWord,
  source: Type.Unsafe<'manual' | 'idp' | 'personal'>(Type.String()),
  created_at: Type.String(),
})
const MemberRow = row(Columns)
const RoleRow = row(Type.Object({ role: RoleWord, source: Type.String() }))
const CountRow = row(Type.Object({ count: Type.Number() }))

/** Of an account (project null), or of one of its projects. */
export interface Circle {
  accountId: string
  projectId: string | null
}

const of = ({ accountId, projectId }: Circle) => sql.fragment`m.account_id = ${accountId} and m.project_id is not distinct from ${projectId}`

function toView({ user_id, created_at, ...member }: typeof Columns.static): MemberView {
  return { ...member, userId: user_id, createdAt: created_at }
}

/** A page of the members, in the order in which they first signed in. Those of the account are members of each of its projects and not listed again there. */
export async function listMembers(db: Db, circle: Circle, { after = '', limit }: PageWish<string>): Promise<Page<MemberView, string>> {
  const rows = await db.any(sql.type(MemberRow)`
    select m.user_id, u.email, u.name, m.role, m.source, m.created_at from memberships m join users u on u.id = m.user_id
    where ${of(circle)} and m.user_id > ${after} order by m.user_id limit ${limit + 1}`)
  return toPage(rows, limit, toView, ({ user_id }) => user_id)
}

/** One of them; undefined when there is none of this id. */
export async function readMember(db: Db, circle: Circle, userId: string): Promise<MemberView | undefined> {
  const found = await db.maybeOne(sql.type(MemberRow)`
    select m.user_id, u.email, u.name, m.role, m.source, m.created_at from memberships m join users u on u.id = m.user_id
    where ${of(circle)} and m.user_id = ${userId}`)
  return found ? toView(found) : undefined
}

/** The role of a member; undefined of anybody else. Nobody can change it until the transaction is over. */
export async function lockMember(tx: Tx, circle: Circle, userId: string): Promise<{ role: Role; source: string } | undefined> {
  return (
    (await tx.maybeOne(sql.type(RoleRow)`select m.role, m.source from memberships m where ${of(circle)} and m.user_id = ${userId} for update`)) ?? undefined
  )
}

/** Gives somebody a role. False when there is nobody of this id. */
export async function setMember(tx: Tx, circle: Circle, userId: string, role: Role): Promise<boolean> {
  try {
    await tx.query(sql.unsafe`
      insert into memberships (account_id, user_id, project_id, role, source) values (${circle.accountId}, ${userId}, ${circle.projectId}, ${role}, 'manual')
      on conflict (account_id, user_id, project_id) do update set role = excluded.role, source = 'manual'`)
    return true
  } catch (error) {
    if (error instanceof ForeignKeyIntegrityConstraintViolationError) return false
    throw error
  }
}

/** Ends a membership. */
export async function removeMember(tx: Tx, circle: Circle, userId: string): Promise<void> {
  await tx.query(sql.unsafe`delete from memberships m where ${of(circle)} and m.user_id = ${userId}`)
}

/** How many owners an account has. Nobody else can change that until the transaction is over. */
export async function countOwners(tx: Tx, accountId: string): Promise<number> {
  await tx.query(sql.unsafe`select pg_advisory_xact_lock(hashtextextended(${`owners:${accountId}`}, 0))`)
  return tx.oneFirst(sql.type(CountRow)`
    select count(*)::int as count from memberships where account_id = ${accountId} and project_id is null and role = 'owner'`)
}
