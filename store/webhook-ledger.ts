import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import type { DeliveryView, TryView } from '#core/webhook-api.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

const Columns = Type.Object({
  id: Type.Number(),
  endpoint_id: Type.String(),
  event_id: maybe(Type.Number()),
  type: Type.String(),
  job_id: maybe(Type.String()),
  batch_id: maybe(Type.String()),
  url: Type.String(),
  state: Type.Unsafe<DeliveryView['state']>(Type.String()),
  tries: Type.Number(),
  next_try_at: maybe(Type.String()),
  last_status: maybe(Type.Number()),
  last_error: maybe(Type.String()),
  created_at: Type.String(),
  finished_at: maybe(Type.String()),
})
const DeliveryRow = row(Columns)
const CountRow = row(Type.Object({ count: Type.Number() }))

const SELECT = sql.fragment`
  d.id, d.endpoint_id, d.event_id, d.type, d.job_id, d.batch_id, coalesce(d.url, w.url, '') as url, d.state, d.tries, d.next_try_at, d.last_status,
  d.last_error, d.created_at, d.finished_at`

/** A delivery's number as its id, and back; undefined when it is none. */
export function deliveryId(number: number): string {
  return `whd_${number}`
}

/** See `deliveryId`. */
export function parseDeliveryId(id: string): number | undefined {
  const match = /^whd_(\d{1,15})$/.exec(id)
  return match ? Number(match[1]) : undefined
}

function toView(found: typeof Columns.static): DeliveryView {
  return {
    id: deliveryId(found.id),
    webhookId: found.endpoint_id,
    messageId: found.event_id === null ? `ping_${found.id}` : `evt_${found.event_id}`,
    type: found.type,
    jobId: found.job_id,
    batchId: found.batch_id,
    url: found.url,
    state: found.state,
    tries: found.tries,
    nextTryAt: found.next_try_at,
    lastStatus: found.last_status,
    lastError: found.last_error,
    createdAt: found.created_at,
    finishedAt: found.finished_at,
  }
}

/** What a list of deliveries may be narrowed to. `before` is the number of the last one seen. */
export interface DeliveryFilter {
  state?: string | undefined
  type?: string | undefined
  jobId?: string | undefined
  since?: string | undefined
  until?: string | undefined
  before?: number | undefined
  limit: number
}

/** A page of the deliveries of an endpoint, the newest first. `next` is null on the last page. The caller knows that it is the project's. */
export async function listDeliveries(db: Db, webhookId: string, filter: DeliveryFilter): Promise<{ items: DeliveryView[]; next: number | null }> {
  const conditions = [
    sql.fragment`d.endpoint_id = ${webhookId}`,
    filter.state !== undefined && sql.fragment`d.state = ${filter.state}`,
    filter.type !== undefined && sql.fragment`d.type = ${filter.type}`,
    filter.jobId !== undefined && sql.fragment`d.job_id = ${filter.jobId}`,
    filter.since !== undefined && sql.fragment`d.created_at >= ${filter.since}::timestamptz`,
    filter.until !== undefined && sql.fragment`d.created_at < ${filter.until}::timestamptz`,
    filter.before !== undefined && sql.fragment`d.id < ${filter.before}`,
  ].filter((condition) => condition !== false)
  const rows = await db.any(sql.type(DeliveryRow)`
    select ${SELECT} from webhook_deliveries d join webhook_endpoints w on w.id = d.endpoint_id
    where ${sql.join(conditions, sql.fragment` and `)} order by d.id desc limit ${filter.limit + 1}`)
  const page = rows.slice(0, filter.limit)
  return { items: page.map(toView), next: rows.length > filter.limit ? (page.at(-1)?.id ?? null) : null }
}

/** A delivery of this endpoint. */
export async function readDelivery(db: Db, webhookId: string, number: number): Promise<DeliveryView | undefined> {
  const found = await db.maybeOne(sql.type(DeliveryRow)`
    select ${SELECT} from webhook_deliveries d join webhook_endpoints w on w.id = d.endpoint_id where d.id = ${number} and d.endpoint_id = ${webhookId}`)
  return found ? toView(found) : undefined
}

const TryRow = row(
  Type.Object({
    number: Type.Number(),
    at: Type.String(),
    duration_ms: Type.Number(),
    status: maybe(Type.Number()),
    error: maybe(Type.String()),
    response_body: maybe(Type.String()),
  }),
)

/** Every time that a delivery was sent, the first one first. */
export async function readTries(db: Db, number: number): Promise<TryView[]> {
  const rows = await db.any(
    sql.type(TryRow)`select number, at, duration_ms, status, error, response_body from webhook_tries where delivery_id = ${number} order by number`,
  )
  return rows.map((one) => ({
    number: one.number,
    at: one.at,
    durationMs: one.duration_ms,
    status: one.status,
    error: one.error,
    responseBody: one.response_body,
  }))
}

/** Beyond the end of every schedule: what is written with it is tried once. */
const LAST_STEP = 1000

/** Writes a message that says nothing but that it came, to be tried once; returns its number. */
export async function insertPing(db: Db, owner: { accountId: string; projectId: string }, webhookId: string): Promise<number> {
  const found = await db.one(sql.type(row(Type.Object({ id: Type.Number() })))`
    insert into webhook_deliveries (endpoint_id, account_id, project_id, subject, type, data, step)
    values (${webhookId}, ${owner.accountId}, ${owner.projectId}, 'ping:' || gen_random_uuid(), 'webhook.ping', jsonb_build_object('webhookId', ${webhookId}::text), ${LAST_STEP})
    returning id`)
  return found.id
}

const ANEW = sql.fragment`state = 'pending', step = 0, next_try_at = now(), claimed_until = null, finished_at = null`

/** Lets a delivery that has ended begin anew. False when it has not ended, or is none of this endpoint. */
export async function redeliver(db: Db, webhookId: string, number: number): Promise<boolean> {
  const result = await db.query(sql.unsafe`update webhook_deliveries set ${ANEW} where id = ${number} and endpoint_id = ${webhookId} and state <> 'pending'`)
  return result.rowCount > 0
}

/** The same with all of a time range that failed, or with `all` also those that were delivered; returns how many. */
export async function redeliverRange(db: Db, webhookId: string, range: { since: string; until: string; all: boolean }): Promise<number> {
  return db.oneFirst(sql.type(CountRow)`
    with anew as (
      update webhook_deliveries set ${ANEW}
      where endpoint_id = ${webhookId} and created_at >= ${range.since}::timestamptz and created_at < ${range.until}::timestamptz
        and state = any(${sql.array(range.all ? ['failed', 'delivered'] : ['failed'], 'text')})
      returning 1
    )
    select count(*)::int as count from anew`)
}
