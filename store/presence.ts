import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'

const NodeRow = Type.Object({ id: Type.String(), state: Type.String(), silent_ms: Type.Number() })

/** A node that should be alive, and for how long Postgres has not been told that it is. */
export interface KnownNode {
  nodeId: string
  state: 'ready' | 'draining'
  silentMs: number
}

/** Notes for many nodes at once that they were heard, and whether they drain: a node says so itself. */
export async function recordSeen(db: Db, nodes: readonly { nodeId: string; draining: boolean }[]): Promise<void> {
  await db.query(sql.unsafe`
    update nodes n set last_seen_at = now(), state = case when s.draining or n.drain_requested_at is not null then 'draining' else 'ready' end
    from jsonb_to_recordset(${JSON.stringify(nodes)}::jsonb) as s("nodeId" text, draining boolean)
    where n.id = s."nodeId" and n.state in ('ready', 'draining')`)
}

/** The nodes that are expected to be heard. */
export async function knownNodes(db: Db): Promise<KnownNode[]> {
  const rows = await db.any(sql.type(row(NodeRow))`
    select id, state, (extract(epoch from now() - coalesce(last_seen_at, enrolled_at)) * 1000)::float8 as silent_ms
    from nodes where state in ('ready', 'draining')`)
  return rows.map((node) => ({ nodeId: node.id, state: node.state as KnownNode['state'], silentMs: node.silent_ms }))
}

/** Declares a node lost; false when it was not ready or draining any more. Locks the row against claims. */
export async function markLost(tx: Tx, nodeId: string): Promise<boolean> {
  const result = await tx.query(sql.unsafe`update nodes set state = 'lost' where id = ${nodeId} and state in ('ready', 'draining')`)
  return result.rowCount > 0
}

const RenewedRow = row(Type.Object({ drain: Type.Boolean(), patient: Type.Boolean(), young: Type.Boolean() }))

/**
 * A node asks about its leases: one that was declared lost takes work again (its old leases are over). Notes the attempts
 * whose containers it has, and its images unless it does not say. Returns whether it is to drain, patiently when
 * it is no operator's wish, and whether it has enrolled within the last ten minutes; undefined when there is no such node.
 */
export async function recordRenewal(
  db: Db,
  nodeId: string,
  containers: readonly string[],
  images?: readonly string[],
): Promise<{ drain: boolean; patient: boolean; young: boolean } | undefined> {
  const held = sql.array([...containers], 'text')
  const has = images === undefined ? sql.fragment`images` : sql.fragment`${sql.array([...images], 'text')}`
  await db.query(sql.unsafe`
    update nodes set
      last_seen_at = now(), state = case when state <> 'lost' then state when drain_requested_at is null then 'ready' else 'draining' end,
      containers = ${held}, containers_at = now(), images = ${has}
    where id = ${nodeId}
      and (state = 'lost' or containers <> ${held} or images <> ${has} or containers_at is null or containers_at < now() - interval '1 minute')`)
  const node = await db.maybeOne(sql.type(RenewedRow)`
    select drain_requested_at is not null as drain, drain_planned or cordoned_at is not null as patient, coalesce(enrolled_at > now() - interval '10 minutes', false) as young from nodes where id = ${nodeId}`)
  return node ?? undefined
}

const FileRow = Type.Object({ id: Type.String(), key: Type.String(), sha256: Type.String(), size_bytes: Type.Number() })

/** Where uploaded files lie, by id. */
export async function fileObjects(db: Db, fileIds: readonly string[]): Promise<Map<string, { key: string; sha256: string; sizeBytes: number }>> {
  if (fileIds.length === 0) return new Map()
  const rows = await db.any(
    sql.type(row(FileRow))`select id, key, sha256, size_bytes from files where id = any(${sql.array([...fileIds], 'text')}) and state = 'ready'`,
  )
  return new Map(rows.map((file) => [file.id, { key: file.key, sha256: file.sha256, sizeBytes: file.size_bytes }]))
}
