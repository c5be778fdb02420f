import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'

/** How long after its address has expired an upload that began in time may still end, in seconds. */
const LATE_UPLOAD_SECONDS = 900
/** Rows of one INSERT. */
const CHUNK = 2000

/**
 * Notes objects that a node may upload from now on, before it is told how. Those that no report turns into an artifact
 * or a log are deleted when the attempt ends, and once more when the addresses have expired.
 */
export async function promiseObjects(db: Db, attemptId: string, keys: readonly string[], urlSeconds: number): Promise<void> {
  await db.query(sql.unsafe`
    insert into pending_objects (key, attempt_id, delete_at, expires_at)
    select k, ${attemptId}, t.at, t.at from unnest(${sql.array([...keys], 'text')}) as k, (select now() + make_interval(secs => ${urlSeconds + LATE_UPLOAD_SECONDS}) as at) t
    on conflict (key) do update set delete_at = excluded.delete_at, expires_at = excluded.expires_at`)
}

/** Settles what an attempt was promised, in the transaction that ends it: `kept` stay, the others are deleted soon. */
export async function settleObjects(tx: Tx, attemptId: string, kept: readonly string[]): Promise<void> {
  const keys = sql.array([...kept], 'text')
  await tx.query(sql.unsafe`
    with kept as (delete from pending_objects where attempt_id = ${attemptId} and key = any(${keys}))
    update pending_objects set delete_at = least(now(), expires_at) where attempt_id = ${attemptId} and key <> all(${keys})`)
}

/** Notes that these objects are not wanted any more, in the transaction that takes their rows away. */
export async function discardObjects(tx: Tx, objects: readonly { key: string; attemptId: string }[]): Promise<void> {
  for (let start = 0; start < objects.length; start += CHUNK) {
    const chunk = JSON.stringify(objects.slice(start, start + CHUNK))
    await tx.query(sql.unsafe`
      insert into pending_objects (key, attempt_id, delete_at, expires_at)
      select o.key, o."attemptId", now(), now() from jsonb_to_recordset(${chunk}::jsonb) as o(key text, "attemptId" text)
      on conflict (key) do update set delete_at = least(now(), pending_objects.expires_at)`)
  }
}

const DueRow = Type.Object({ key: Type.String() })

/**
 * Keys of objects that are to be deleted now, locked: whoever promises one of them anew waits until it is deleted, and so
 * never has its upload deleted. What a live attempt was promised is not due, however late it is: it may still report it.
 */
export async function dueObjects(tx: Tx, limit: number, except: readonly string[]): Promise<string[]> {
  return [
    ...(await tx.anyFirst(sql.type(row(DueRow))`
      select p.key from pending_objects p
      where p.delete_at <= now() and p.key <> all(${sql.array([...except], 'text')})
        and not exists (select 1 from attempts a where a.id = p.attempt_id and a.finished_at is null)
      order by p.delete_at limit ${limit} for update of p skip locked`)),
  ]
}

/** Notes that these objects were deleted: their rows go, or wait until nobody can upload the object any more. */
export async function recordDeleted(tx: Tx, keys: readonly string[]): Promise<void> {
  const these = sql.fragment`key = any(${sql.array([...keys], 'text')})`
  await tx.query(sql.unsafe`delete from pending_objects where ${these} and expires_at <= now()`)
  await tx.query(sql.unsafe`update pending_objects set delete_at = expires_at where ${these}`)
}
