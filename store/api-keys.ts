import { type Static, Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import { newId } from '#core/ids.ts'
import type { KeyView } from '#core/key-api.ts'
import { type Page, type PageWish, toPage } from './page.ts'
import type { DatabasePool, Db, Tx } from './pool.ts'
import { row } from './row.ts'
import { hashSecret, type KeyEnvironment, newApiKey, prefixOfApiKey, sameHash } from './secrets.ts'

/** Whom a valid API key speaks for. */
export interface KeyHolder {
  id: string
  name: string
  accountId: string
  project: { id: string; slug: string }
  /** What it may do (core/access.ts). */
  scopes: readonly string[]
}

const FoundRow = row(
  Type.Object({
    id: Type.String(),
    hash: Type.Unsafe<Buffer>(Type.Any()),
    account_id: Type.String(),
    project_id: Type.String(),
    slug: Type.String(),
    name: Type.String(),
    scopes: Type.Array(Type.String()),
    seen_recently: Type.Boolean(),
  }),
)

/**
 * Whom the key speaks for; undefined when it is unknown, revoked or expired. Found by its prefix and compared by its hash, in
 * constant time; one that is not whole is refused unasked. Notes its use at most once a minute.
 */
export async function authenticateKey(pool: DatabasePool, key: string): Promise<KeyHolder | undefined> {
  const prefix = prefixOfApiKey(key)
  if (prefix === undefined) return undefined
  const found = await pool.maybeOne(sql.type(FoundRow)`select * from rgrid_find_key(${prefix})`)
  if (!found || !sameHash(found.hash, hashSecret(key))) return undefined
  if (!found.seen_recently) await pool.query(sql.unsafe`select rgrid_touch_key(${found.id})`)
  return { id: found.id, name: found.name, accountId: found.account_id, project: { id: found.project_id, slug: found.slug }, scopes: found.scopes }
}

/** What a key is made of. */
export interface NewKey {
  name: string
  scopes: readonly string[]
  environment: KeyEnvironment
  /** null: never. */
  expiresInSeconds: number | null
  createdBy: string | null
}

/** Makes a key of the project; the key itself is returned this once and only its hash kept. */
export async function createKey(db: Db, owner: { accountId: string; projectId: string }, made: NewKey): Promise<{ id: string; key: string }> {
  const { key, prefix } = newApiKey(made.environment)
  const id = newId('apiKey')
  await db.query(sql.unsafe`
    insert into api_keys (id, account_id, project_id, name, prefix, hash, scopes, environment, created_by, expires_at)
    values (${id}, ${owner.accountId}, ${owner.projectId}, ${made.name}, ${prefix}, ${sql.binary(hashSecret(key))}, ${sql.array([...made.scopes], 'text')},
      ${made.environment}, ${made.createdBy}, now() + make_interval(secs => ${made.expiresInSeconds}))`)
  return { id, key }
}

const Columns = Type.Object({
  id: Type.String(),
  name: Type.String(),
  prefix: Type.String(),
  environment: Type.Unsafe<KeyEnvironment>(Type.String()),
  scopes: Type.Array(Type.String()),
  created_by: maybe(Type.String()),
  created_at: Type.String(),
  expires_at: maybe(Type.String()),
  revoked_at: maybe(Type.String()),
  last_used_at: maybe(Type.String()),
  replaced_by: maybe(Type.String()),
})
const COLUMNS = sql.fragment`id, name, prefix, environment, scopes, created_by, created_at, expires_at, revoked_at, last_used_at, replaced_by`

function toView(key: Static<typeof Columns>): KeyView {
  return {
    id: key.id,
    name: key.name,
    prefix: key.prefix,
    environment: key.environment,
    scopes: key.scopes,
    createdBy: key.created_by,
    createdAt: key.created_at,
    expiresAt: key.expires_at,
    revokedAt: key.revoked_at,
    lastUsedAt: key.last_used_at,
    replacedBy: key.replaced_by,
  }
}

/** A page of the keys of a project, the newest first; those that are revoked or expired for another 90 days. */
export async function listKeys(db: Db, projectId: string, { after, limit }: PageWish<string>): Promise<Page<KeyView, string>> {
  const older = after === undefined ? sql.fragment`true` : sql.fragment`id < ${after}`
  const keys = await db.any(sql.type(row(Columns))`
    select ${COLUMNS} from api_keys
    where project_id = ${projectId} and coalesce(least(revoked_at, expires_at), 'infinity') > now() - interval '90 days' and ${older}
    order by id desc limit ${limit + 1}`)
  return toPage(keys, limit, toView, ({ id }) => id)
}

/** A key of the project; undefined when it has none of this id. */
export async function readKey(db: Db, projectId: string, id: string): Promise<KeyView | undefined> {
  const key = await db.maybeOne(sql.type(row(Columns))`select ${COLUMNS} from api_keys where id = ${id} and project_id = ${projectId}`)
  return key ? toView(key) : undefined
}

/** The same, kept from being changed until the transaction is over. */
export async function lockKey(tx: Tx, projectId: string, id: string): Promise<KeyView | undefined> {
  await tx.query(sql.unsafe`select 1 from api_keys where id = ${id} and project_id = ${projectId} for update`)
  return readKey(tx, projectId, id)
}

/** Ends a key, now. */
export async function revokeKey(tx: Tx, id: string): Promise<void> {
  await tx.query(sql.unsafe`update api_keys set revoked_at = coalesce(revoked_at, now()) where id = ${id}`)
}

/** How a key is replaced: how long the new one is good (null: for ever), and how long the old one still is. */
export interface Replacement {
  expiresInSeconds: number | null
  overlapSeconds: number
  createdBy: string
}

/** Makes a key in the place of another one, which still works for a while; never longer than it would have anyway. */
export async function replaceKey(
  tx: Tx,
  owner: { accountId: string; projectId: string },
  old: KeyView,
  { expiresInSeconds, overlapSeconds, createdBy }: Replacement,
): Promise<{ id: string; key: string }> {
  const made = await createKey(tx, owner, { name: old.name, scopes: old.scopes, environment: old.environment, expiresInSeconds, createdBy })
  await tx.query(sql.unsafe`
    update api_keys set replaced_by = ${made.id}, expires_at = least(expires_at, now() + make_interval(secs => ${overlapSeconds})) where id = ${old.id}`)
  return made
}
