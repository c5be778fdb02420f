import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { AuditEntry } from '#core/account-api.ts'
import { maybe } from '#core/api.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

/** What somebody did. */
export interface Deed {
  accountId: string
  projectId: string | null
  actorKind: 'user' | 'key' | 'operator'
  actorId: string
  actorName: string
  action: string
  objectId: string | null
  ip: string
  requestId: string
  details: Record<string, unknown>
}

/** Writes a deed down, in the transaction that does it: neither is there without the other. */
export async function recordDeed(tx: Db, deed: Deed): Promise<void> {
  await tx.query(sql.unsafe`
    insert into audit_log (account_id, project_id, actor_kind, actor_id, actor_name, action, object_id, ip, request_id, details)
    values (${deed.accountId}, ${deed.projectId}, ${deed.actorKind}, ${deed.actorId}, ${deed.actorName}, ${deed.action}, ${deed.objectId}, ${deed.ip},
      ${deed.requestId}, ${JSON.stringify(deed.details)}::jsonb)`)
}

/** What the audit log may be narrowed to; `before` is the id of the last one seen. */
export interface AuditFilter {
  projectId?: string | undefined
  actorId?: string | undefined
  action?: string | undefined
  objectId?: string | undefined
  since?: string | undefined
  until?: string | undefined
  before?: number | undefined
  limit: number
}

const EntryRow = row(
  Type.Object({
    id: Type.Number(),
    at: Type.String(),
    actor_kind: Type.String(),
    actor_id: Type.String(),
    actor_name: Type.String(),
    action: Type.String(),
    slug: maybe(Type.String()),
    object_id: maybe(Type.String()),
    ip: maybe(Type.String()),
    request_id: maybe(Type.String()),
    details: Type.Record(Type.String(), Type.Unknown()),
  }),
)

/** A page of what was done in an account, the newest first. `next` is null on the last page. */
export async function listDeeds(db: Db, accountId: string, filter: AuditFilter): Promise<{ items: AuditEntry[]; next: number | null }> {
  const conditions = [
    sql.fragment`l.account_id = ${accountId}`,
    filter.projectId !== undefined && sql.fragment`l.project_id = ${filter.projectId}`,
    filter.actorId !== undefined && sql.fragment`l.actor_id = ${filter.actorId}`,
    filter.action !== undefined && sql.fragment`l.action = ${filter.action}`,
    filter.objectId !== undefined && sql.fragment`l.object_id = ${filter.objectId}`,
    filter.since !== undefined && sql.fragment`l.at >= ${filter.since}::timestamptz`,
    filter.until !== undefined && sql.fragment`l.at < ${filter.until}::timestamptz`,
    filter.before !== undefined && sql.fragment`l.id < ${filter.before}`,
  ].filter((condition) => condition !== false)
  const rows = await db.any(sql.type(EntryRow)`
    select l.id, l.at, l.actor_kind, l.actor_id, l.actor_name, l.action, p.slug, l.object_id, l.ip, l.request_id, l.details
    from audit_log l left join projects p on p.id = l.project_id
    where ${sql.join(conditions, sql.fragment` and `)} order by l.id desc limit ${filter.limit + 1}`)
  const items = rows.slice(0, filter.limit).map((found) => ({
    id: found.id,
    at: found.at,
    actor: { kind: found.actor_kind, id: found.actor_id, name: found.actor_name },
    action: found.action,
    project: found.slug,
    objectId: found.object_id,
    ip: found.ip,
    requestId: found.request_id,
    details: found.details,
  }))
  return { items, next: rows.length > filter.limit ? (items.at(-1)?.id ?? null) : null }
}
