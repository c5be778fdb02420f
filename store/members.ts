import { Type } from '@sinclair/typebox'
import { ForeignKeyIntegrityConstraintViolationError, sql } from 'slonik'
import { ROLES, type Role } from '#core/access.ts'
import type { MemberView } from '#core/account-api.ts'
import { maybe } from '#core/api.ts'
import { countMadeKeys } from './made-keys.ts'
import { type Page, type PageWish, toPage } from './page.ts'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'

const RoleWord = Type.Unsafe<Role>(Type.Union(ROLES.map((role) => Type.Literal(role))))
const SourceWord = Type.Unsafe<MemberView['source']>(Type.String())
const Columns = Type.Object({
  user_id: Type.String(),
  email: maybe(Type.String()),
  name: maybe(Type.String()),
  role: RoleWord,
  source: SourceWord,
  state: Type.Unsafe<MemberView['state']>(Type.String()),
  confirmed_at: maybe(Type.String()),
  created_at: Type.String(),
})
const MemberRow = row(Columns)
const RoleRow = row(Type.Object({ role: RoleWord, source: SourceWord }))

/** Of an account (project null), or of one of its projects. */
export interface Circle {
  accountId: string
  projectId: string | null
}

const of = ({ accountId, projectId }: Circle) => sql.fragment`m.account_id = ${accountId} and m.project_id is not distinct from ${projectId}`

/** Whether a role counts for tokens that name no organisation: as rgrid_memberships says it. */
const isActive = (graceSeconds: number) =>
  sql.fragment`(m.ended_at is null and (m.source <> 'idp' or m.confirmed_at > now() - make_interval(secs => ${graceSeconds})))`

const members = (graceSeconds: number) => sql.fragment`
  select m.user_id, u.email, u.name, m.role, m.source, m.confirmed_at, m.created_at,
    case when ${isActive(graceSeconds)} then 'active' when m.ended_at is null then 'lapsed' else 'ended' end as state
  from memberships m join users u on u.id = m.user_id`

async function toViews(db: Db, circle: Circle, rows: readonly (typeof Columns.static)[]): Promise<MemberView[]> {
  const ids = rows.map(({ user_id }) => user_id)
  const keys = await countMadeKeys(db, circle, ids)
  return rows.map(({ user_id, confirmed_at, created_at, ...member }) => ({
    ...member,
    userId: user_id,
    confirmedAt: confirmed_at,
    keys: keys.get(user_id) ?? 0,
    createdAt: created_at,
  }))
}

/**
 * A page of the members, in the order in which they first signed in. Those of the account are members of each of its projects
 * and not listed again there. `graceSeconds` is that of `Vouching`.
 */
export async function listMembers(db: Db, circle: Circle, graceSeconds: number, { after = '', limit }: PageWish<string>): Promise<Page<MemberView, string>> {
  const rows = await db.any(sql.type(MemberRow)`
    ${members(graceSeconds)} where ${of(circle)} and m.user_id > ${after} order by m.user_id limit ${limit + 1}`)
  const views = await toViews(db, circle, rows)
  return toPage(
    views,
    limit,
    (view) => view,
    ({ userId }) => userId,
  )
}

/** One of them; undefined when there is none of this id. */
export async function readMember(db: Db, circle: Circle, graceSeconds: number, userId: string): Promise<MemberView | undefined> {
  const found = await db.any(sql.type(MemberRow)`${members(graceSeconds)} where ${of(circle)} and m.user_id = ${userId}`)
  return (await toViews(db, circle, found))[0]
}

/** The role of a member, counting or not; undefined of anybody else. Nobody can change it until the transaction is over. */
export async function lockMember(tx: Tx, circle: Circle, userId: string): Promise<{ role: Role; source: MemberView['source'] } | undefined> {
  return (
    (await tx.maybeOne(sql.type(RoleRow)`select m.role, m.source from memberships m where ${of(circle)} and m.user_id = ${userId} for update`)) ?? undefined
  )
}

/** Gives somebody a role; who was taken out is in again. False when there is nobody of this id. */
export async function setMember(tx: Tx, circle: Circle, userId: string, role: Role): Promise<boolean> {
  try {
    await tx.query(sql.unsafe`
      insert into memberships (account_id, user_id, project_id, role, source) values (${circle.accountId}, ${userId}, ${circle.projectId}, ${role}, 'manual')
      on conflict (account_id, user_id, project_id) do update set role = excluded.role, source = 'manual', confirmed_at = null, ended_at = null`)
    return true
  } catch (error) {
    if (error instanceof ForeignKeyIntegrityConstraintViolationError) return false
    throw error
  }
}

/**
 * Ends the memberships of somebody: of an account those in its projects too. In an account that is an organisation of the person's
 * own provider what is left is a block, as the next sign-in would bring them back.
 */
export async function removeMember(tx: Tx, circle: Circle, userId: string): Promise<{ wasMember: boolean; isBlocked: boolean }> {
  const { accountId, projectId } = circle
  const isBlocked = projectId === null && (await block(tx, accountId, userId))
  const within = projectId === null ? sql.fragment`m.source <> 'blocked'` : sql.fragment`m.project_id = ${projectId}`
  const gone = await tx.query(sql.unsafe`delete from memberships m where m.account_id = ${accountId} and m.user_id = ${userId} and ${within}`)
  return { wasMember: isBlocked || gone.rowCount > 0, isBlocked }
}

/** False when the account is no organisation of the person's provider, or they are nobody in it. */
async function block(tx: Tx, accountId: string, userId: string): Promise<boolean> {
  const blocked = await tx.query(sql.unsafe`
    insert into memberships (account_id, user_id, role, source, ended_at)
    select a.id, u.id, 'viewer', 'blocked', now() from accounts a, users u
    where a.id = ${accountId} and u.id = ${userId} and a.kind = 'organisation' and a.issuer = u.issuer
      and exists (select 1 from memberships m where m.account_id = a.id and m.user_id = u.id)
    on conflict (account_id, user_id, project_id) do update set source = 'blocked', confirmed_at = null, ended_at = now()`)
  return blocked.rowCount > 0
}

/** Whether somebody has a role in the account, or in this project of it, that has not ended; it may have lapsed. */
export async function isMember(db: Db, { accountId, projectId }: Circle, userId: string): Promise<boolean> {
  return db.exists(sql.unsafe`
    select 1 from memberships m where m.account_id = ${accountId} and m.user_id = ${userId}
      and (m.project_id is null or m.project_id = ${projectId}) and m.ended_at is null`)
}

/**
 * Whether the account has another owner than this one whose role counts now; that of `callerId` does. Nobody else can change that
 * until the transaction is over.
 */
export async function hasAnotherOwner(tx: Tx, accountId: string, userId: string, callerId: string, graceSeconds: number): Promise<boolean> {
  await tx.query(sql.unsafe`select pg_advisory_xact_lock(hashtextextended(${`owners:${accountId}`}, 0))`)
  return tx.exists(sql.unsafe`
    select 1 from memberships m where m.account_id = ${accountId} and m.user_id <> ${userId} and m.project_id is null and m.role = 'owner'
      and (${isActive(graceSeconds)} or (m.ended_at is null and m.user_id = ${callerId}))`)
}
