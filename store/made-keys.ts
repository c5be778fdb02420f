import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { LeftKey } from '#core/account-api.ts'
import { maybe } from '#core/api.ts'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'

/** Where keys are looked for: in an account (project null), or in one of its projects. */
interface Within {
  accountId: string
  projectId: string | null
}

/** A key that somebody made, with the project that it is of. */
export type MadeKey = LeftKey & { projectId: string }

const CountRow = row(Type.Object({ person: Type.String(), count: Type.Number() }))
const KeyRow = row(Type.Object({ id: Type.String(), name: Type.String(), projectId: Type.String(), project: Type.String(), revokedAt: maybe(Type.String()) }))
const KEY = sql.fragment`k.id, k.name, k.project_id as "projectId", p.slug as project, k.revoked_at as "revokedAt"`

/** `made (person, id)`: the keys that these people made, those that such keys made, and so on. */
const made = (accountId: string, people: readonly string[]) => sql.fragment`
  with recursive made as (
    select k.created_by as person, k.id from api_keys k where k.account_id = ${accountId} and k.created_by = any(${sql.array([...people], 'text')})
    union
    select made.person, k.id from made join api_keys k on k.created_by = made.id
  )`

/** Of `made`, those that still work, and their projects. */
const working = (projectId: string | null) => sql.fragment`
  k.id = made.id and p.id = k.project_id and p.deleted_at is null and k.revoked_at is null and (k.expires_at is null or k.expires_at > now())
    and ${projectId === null ? sql.fragment`true` : sql.fragment`k.project_id = ${projectId}`}`

/** How many working keys each of these people has made, themselves or with a key of theirs; who made none is not in it. */
export async function countMadeKeys(db: Db, { accountId, projectId }: Within, people: readonly string[]): Promise<Map<string, number>> {
  const rows = await db.any(sql.type(CountRow)`
    ${made(accountId, people)} select made.person, count(*)::int as count from made, api_keys k, projects p where ${working(projectId)} group by 1`)
  return new Map(rows.map(({ person, count }) => [person, count]))
}

/** The working keys that somebody has made, themselves or with a key of theirs. */
export async function listMadeKeys(db: Db, { accountId, projectId }: Within, userId: string): Promise<MadeKey[]> {
  const keys = await db.any(sql.type(KeyRow)`
    ${made(accountId, [userId])} select ${KEY} from made, api_keys k, projects p where ${working(projectId)} order by k.id`)
  return [...keys]
}

/** Ends these keys, now, and returns them. What holds its maker (`holdMaker`) is waited for, and ended too. */
export async function revokeMadeKeys(tx: Tx, { accountId, projectId }: Within, userId: string): Promise<MadeKey[]> {
  const all: MadeKey[] = []
  for (;;) {
    const keys = await tx.any(sql.type(KeyRow)`
      ${made(accountId, [userId])} update api_keys k set revoked_at = now() from made, projects p where ${working(projectId)} returning ${KEY}`)
    all.push(...keys)
    // A key that one of these was making meanwhile was not to be seen yet. Of those that are revoked there come no more.
    if (keys.length === 0) return all.sort((a, b) => (a.id < b.id ? -1 : 1))
  }
}

/**
 * Keeps the maker of a key, a person or a key, from being taken out, or revoked, until the transaction is over. False when that has
 * happened already: since the request was let in, as who is asked for is remembered for half a second.
 */
export async function holdMaker(tx: Tx, accountId: string, makerId: string): Promise<boolean> {
  const found = makerId.startsWith('key_')
    ? await tx.query(sql.unsafe`select 1 from api_keys where id = ${makerId} and revoked_at is null for share`)
    : await tx.query(sql.unsafe`select 1 from memberships where account_id = ${accountId} and user_id = ${makerId} and ended_at is null for share`)
  return found.rows.length > 0
}
