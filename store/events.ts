import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { WEBHOOK_EVENTS } from '#core/webhook-api.ts'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'
import { FAN_OUT } from './webhook-fan-out.ts'

const HOOKED: readonly string[] = WEBHOOK_EVENTS

/** What happened: `job.submitted`, `job.started`, …; docs/BUS.md lists the types. */
export interface NewEvent {
  accountId: string
  projectId: string
  batchId: string | null
  jobId: string | null
  type: string
  data: Record<string, unknown>
}

const EventRow = Type.Object({
  id: Type.Number(),
  account_id: Type.String(),
  project_id: Type.String(),
  batch_id: Type.Union([Type.String(), Type.Null()]),
  job_id: Type.Union([Type.String(), Type.Null()]),
  type: Type.String(),
  data: Type.Record(Type.String(), Type.Unknown()),
  created_at: Type.String(),
  trace_context: Type.Union([Type.String(), Type.Null()]),
})

/** An event as it is stored. */
export interface StoredEvent extends NewEvent {
  id: number
  createdAt: string
  /** The trace of its job, or of a job of its batch, as it is stored. */
  traceContext: string | null
}

/**
 * Records events, and puts them into the outbox and to the webhooks that want them, in the transaction that changed the
 * state. One statement, however many events.
 */
export async function recordEvents(tx: Tx, events: readonly NewEvent[]): Promise<void> {
  if (events.length === 0) return
  const added = sql.fragment`
    insert into events (account_id, project_id, batch_id, job_id, type, data)
    select e."accountId", e."projectId", e."batchId", e."jobId", e.type, e.data
    from jsonb_to_recordset(${JSON.stringify(events)}::jsonb) as e("accountId" text, "projectId" text, "batchId" text, "jobId" text, type text, data jsonb)
    returning id, account_id, project_id, batch_id, job_id, type, data`
  const outboxRows = sql.fragment`insert into outbox (event_id) select id from added`
  if (events.some((event) => HOOKED.includes(event.type))) await tx.query(sql.unsafe`with added as (${added}), sent as (${outboxRows}) ${FAN_OUT}`)
  else await tx.query(sql.unsafe`with added as (${added}) ${outboxRows}`)
}

/**
 * Events to relay, oldest first. Only those of transactions older than every open one: ids are not handed out in the
 * order of commits, and a relay that went by id alone would pass some by.
 */
export async function readOutbox(db: Db, limit: number): Promise<StoredEvent[]> {
  const rows = await db.any(sql.type(row(EventRow))`
    select e.id, e.account_id, e.project_id, e.batch_id, e.job_id, e.type, e.data, e.created_at,
      case when e.job_id is not null then j.trace_context else (select trace_context from jobs where batch_id = e.batch_id order by batch_index limit 1) end as trace_context
    from outbox o join events e on e.id = o.event_id left join jobs j on j.id = e.job_id
    where o.xid < pg_snapshot_xmin(pg_current_snapshot())
    order by o.event_id limit ${limit}`)
  return rows.map((e) => ({
    id: e.id,
    accountId: e.account_id,
    projectId: e.project_id,
    batchId: e.batch_id,
    jobId: e.job_id,
    type: e.type,
    data: e.data,
    createdAt: e.created_at,
    traceContext: e.trace_context,
  }))
}

/** Takes relayed events out of the outbox. */
export async function clearOutbox(db: Db, eventIds: readonly number[]): Promise<void> {
  await db.query(sql.unsafe`delete from outbox where event_id = any(${sql.array([...eventIds], 'int8')})`)
}
