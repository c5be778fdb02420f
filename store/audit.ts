import { type Static, Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { AuditEntry, OperatorAuditEntry } from '#core/account-api.ts'
import { maybe } from '#core/api.ts'
import { type Page, toPage } from './page.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

/** What somebody did. */
export interface Deed {
  /** The one that it concerns; null: none, but the installation. Of operators only. */
  accountId: string | null
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
  actorId?: string | undefined
  action?: string | undefined
  objectId?: string | undefined
  since?: string | undefined
  until?: string | undefined
  before?: number | undefined
  limit: number
}

const Columns = Type.Object({
  id: Type.Number(),
  at: Type.String(),
  account_id: maybe(Type.String()),
  actor_kind: Type.String(),
  actor_id: Type.String(),
  actor_name: Type.String(),
  action: Type.String(),
  slug: maybe(Type.String()),
  object_id: maybe(Type.String()),
  ip: maybe(Type.String()),
  request_id: maybe(Type.String()),
  details: Type.Record(Type.String(), Type.Unknown()),
})

/** Stands for whichever operator it was: who that is, and where, is nothing that tenants need to know. */
const SOME_OPERATOR = { kind: 'operator', id: 'operator', name: 'operator' }

/** A page of what was done in an account, or in one project of it, the newest first; of what operators did to it, not by whom of them. */
export async function listDeeds(db: Db, owner: { accountId: string; projectId: string | undefined }, filter: AuditFilter): Promise<Page<AuditEntry, number>> {
  const { actorId } = filter
  const conditions = [
    sql.fragment`l.account_id = ${owner.accountId}`,
    owner.projectId !== undefined && sql.fragment`l.project_id = ${owner.projectId}`,
    actorId !== undefined &&
      (actorId === SOME_OPERATOR.id ? sql.fragment`l.actor_kind = 'operator'` : sql.fragment`l.actor_kind <> 'operator' and l.actor_id = ${actorId}`),
  ]
  return findDeeds(db, conditions, filter, (found) => {
    const entry = toEntry(found)
    return found.actor_kind === 'operator' ? { ...entry, actor: SOME_OPERATOR, ip: null } : entry
  })
}

/** A page of what operators did, to one account or to all and everything; the newest first. */
export async function listOperatorDeeds(db: Db, accountId: string | undefined, filter: AuditFilter): Promise<Page<OperatorAuditEntry, number>> {
  const conditions = [
    sql.fragment`l.actor_kind = 'operator'`,
    accountId !== undefined && sql.fragment`l.account_id = ${accountId}`,
    filter.actorId !== undefined && sql.fragment`l.actor_id = ${filter.actorId}`,
  ]
  return findDeeds(db, conditions, filter, (found) => ({ ...toEntry(found), account: found.account_id }))
}

type Condition = false | typeof COLUMNS
const COLUMNS = sql.fragment`l.id, l.at, l.account_id, l.actor_kind, l.actor_id, l.actor_name, l.action, p.slug, l.object_id, l.ip, l.request_id, l.details`

async function findDeeds<T>(
  db: Db,
  whose: readonly Condition[],
  { action, objectId, since, until, before, limit }: AuditFilter,
  toItem: (found: Static<typeof Columns>) => T,
): Promise<Page<T, number>> {
  const conditions = [
    ...whose,
    action !== undefined && sql.fragment`l.action = ${action}`,
    objectId !== undefined && sql.fragment`l.object_id = ${objectId}`,
    since !== undefined && sql.fragment`l.at >= ${since}::timestamptz`,
    until !== undefined && sql.fragment`l.at < ${until}::timestamptz`,
    before !== undefined && sql.fragment`l.id < ${before}`,
  ].filter((condition) => condition !== false)
  const rows = await db.any(sql.type(row(Columns))`
    select ${COLUMNS} from audit_log l left join projects p on p.id = l.project_id
    where ${sql.join(conditions, sql.fragment` and `)} order by l.id desc limit ${limit + 1}`)
  return toPage(rows, limit, toItem, ({ id }) => id)
}

function toEntry(found: Static<typeof Columns>): AuditEntry {
  return {
    id: found.id,
    at: found.at,
    actor: { kind: found.actor_kind, id: found.actor_id, name: found.actor_name },
    action: found.action,
    project: found.slug,
    objectId: found.object_id,
    ip: found.ip,
    requestId: found.request_id,
    details: found.details,
  }
}

const ExpiredRow = row(Type.Object({ expired: Type.Number() }))

/** Takes away the oldest of what was done more than so many days ago (30 at least), at most so many; returns how many. */
export async function expireDeeds(db: Db, keepDays: number, limit: number): Promise<number> {
  return db.oneFirst(sql.type(ExpiredRow)`select rgrid_expire_audit(${keepDays}, ${limit}) as expired`)
}
