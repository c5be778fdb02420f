import { type Static, Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import type { DatabasePool, Db, Tx } from './pool.ts'
import { row } from './row.ts'

const DueRow = Type.Object({
  node_id: Type.String(),
  provider: maybe(Type.String()),
  server_type: maybe(Type.String()),
  location: maybe(Type.String()),
  slots: Type.Number(),
  hour: Type.Number(),
  start_ms: Type.Number(),
  end_ms: maybe(Type.Number()),
  hour_microns: Type.Number(),
  billing: Type.Unsafe<'hour' | 'second'>(Type.String()),
})

/** An hour of a node that is over and not closed. */
export interface DueHour {
  nodeId: string
  /** null: set up by hand. */
  provider: string | null
  serverType: string | null
  location: string | null
  slots: number
  /** Counted from 0. */
  hour: number
  /** From here on its hours are paid, and until when; milliseconds since 1970. */
  startMs: number
  endMs: number | null
  /** The price of this hour, and how it is paid. */
  hourMicrons: number
  billing: 'hour' | 'second'
}

/** A transaction that ends an attempt may have begun before the hour was over: so long it is waited for it. */
const GRACE = sql.fragment`make_interval(secs => 60)`

/** From when on the hours of a node count. One that was set up by hand is paid by its owner, from its enrolment. */
export const HOURS_FROM = sql.fragment`case when n.provider is null then n.enrolled_at else n.billed_from end`

const ms = (time: ReturnType<typeof sql.fragment>) => sql.fragment`floor(extract(epoch from ${time}) * 1000)::float8`

/**
 * Hours that are over, of each node the first one that is not closed. The last one of a node is over when the node has ended and no
 * attempt is live on it any more; a deletion that was only ordered may yet come to nothing, and then more hours are paid. An hour has the price that held when it began; where none is known, that of the node.
 */
export async function dueHours(db: Db, limit: number): Promise<DueHour[]> {
  const rows = await db.any(sql.type(row(DueRow))`
    with open as materialized (
      select n.*, ${HOURS_FROM} as start_at, coalesce(n.billed_until, n.ended_at) as end_at from nodes n where n.next_hour is not null
    ), hours as (
      select o.*, o.start_at + make_interval(hours => o.next_hour) as from_at, o.start_at + make_interval(hours => o.next_hour + 1) as whole_at
      from open o where o.start_at is not null
    )
    select h.id as node_id, h.provider, h.server_type, h.location, h.slots, h.next_hour as hour, ${ms(sql.fragment`h.start_at`)} as start_ms,
      ${ms(sql.fragment`h.end_at`)} as end_ms, coalesce(p.hour_microns, h.hour_microns) as hour_microns,
      coalesce(p.billing, known.billing, case when h.provider is null then 'second' else 'hour' end) as billing
    from hours h
      left join lateral (
        select hour_microns, billing from prices
        where provider = h.provider and server_type = h.server_type and location = h.location
          and valid_from <= h.from_at and (valid_until is null or valid_until > h.from_at)
      ) p on true
      left join lateral (select billing from prices where provider = h.provider order by valid_from limit 1) known on true
    where case when h.end_at <= h.whole_at
      then h.ended_at is not null and h.end_at <= now() - ${GRACE} and not exists (select 1 from attempts a where a.node_id = h.id and a.finished_at is null)
      else h.whole_at <= now() - ${GRACE} end
    order by h.from_at limit ${limit}`)
  return rows.map((due) => ({
    nodeId: due.node_id,
    provider: due.provider,
    serverType: due.server_type,
    location: due.location,
    slots: due.slots,
    hour: due.hour,
    startMs: due.start_ms,
    endMs: due.end_ms,
    hourMicrons: due.hour_microns,
    billing: due.billing,
  }))
}

const UseRow = Type.Object({
  id: Type.String(),
  slots: Type.Number(),
  from_ms: Type.Number(),
  until_ms: maybe(Type.Number()),
  charge_microns: Type.Number(),
  account_id: Type.String(),
  project_id: Type.String(),
  batch_id: maybe(Type.String()),
  job_id: Type.String(),
  labels: Type.Record(Type.String(), Type.String()),
})
/** An attempt that had slots of a node; times in milliseconds since 1970, `until_ms` null while it is live. */
export type AttemptUse = Static<typeof UseRow>

/**
 * The attempts that had slots of a node between two times, or ended then. Of its first hour also those from before it, of its last
 * one those from after it: their charge is to stand somewhere.
 */
export async function attemptUses(db: Db, nodeId: string, span: { fromMs: number; untilMs: number; first: boolean; last: boolean }): Promise<AttemptUse[]> {
  const from = span.first ? '-infinity' : new Date(span.fromMs).toISOString()
  const until = span.last ? 'infinity' : new Date(span.untilMs).toISOString()
  return [
    ...(await db.any(sql.type(row(UseRow))`
      select a.id, a.slots, ${ms(sql.fragment`a.assigned_at`)} as from_ms, ${ms(sql.fragment`a.finished_at`)} as until_ms, a.cost_microns as charge_microns,
        j.account_id, j.project_id, j.batch_id, j.id as job_id, j.labels
      from attempts a join jobs j on j.id = a.job_id
      where a.node_id = ${nodeId} and (a.finished_at is null or a.finished_at >= ${from}::timestamptz) and a.assigned_at < ${until}::timestamptz
      order by a.id`)),
  ]
}

/** What an hour came to. */
export interface ClosedHour {
  fromMs: number
  untilMs: number
  paidMicrons: number
  idleMicrons: number
  last: boolean
  shares: readonly AttemptShare[]
}

/** The share of an attempt in an hour; `ended`: it ended in it, and what it was charged stands here. */
export interface AttemptShare extends Pick<AttemptUse, 'id' | 'account_id' | 'project_id' | 'batch_id' | 'job_id' | 'labels' | 'charge_microns'> {
  ended: boolean
  slotMs: number
  costMicrons: number
}

/** Rows of one INSERT. */
const CHUNK = 2000

/**
 * Writes down what an hour came to, and that the next one is to be closed; false when somebody else has. An hour that cost
 * nothing and that nobody used leaves no row. The node's own row is locked last, and for a moment: claims lock it too.
 */
export async function closeHour(db: DatabasePool, due: DueHour, closed: ClosedHour): Promise<boolean> {
  return db.transaction(async (tx) => {
    const empty = closed.paidMicrons === 0 && closed.shares.length === 0
    if (!empty && !(await insertHour(tx, due, closed))) return false
    const next = closed.last ? sql.fragment`null` : empty && due.provider === null ? nextUsedHour(due, closed) : sql.fragment`${due.hour + 1}`
    const moved = await tx.query(sql.unsafe`update nodes n set next_hour = ${next} where n.id = ${due.nodeId} and n.next_hour = ${due.hour}`)
    if (moved.rowCount === 0 && !empty) throw new Error(`hour ${due.hour} of ${due.nodeId} was closed twice`)
    return moved.rowCount > 0
  })
}

async function insertHour(tx: Tx, due: DueHour, closed: ClosedHour): Promise<boolean> {
  const [from, until] = [new Date(closed.fromMs).toISOString(), new Date(closed.untilMs).toISOString()]
  const added = await tx.query(sql.unsafe`
    insert into node_hours (node_id, hour, from_at, until_at, day, provider, server_type, location, hour_microns, paid_microns, idle_microns)
    values (${due.nodeId}, ${due.hour}, ${from}, ${until}, ${from.slice(0, 10)}, ${due.provider}, ${due.serverType}, ${due.location},
      ${due.hourMicrons}, ${closed.paidMicrons}, ${closed.idleMicrons})
    on conflict do nothing`)
  if (added.rowCount === 0) return false
  for (let at = 0; at < closed.shares.length; at += CHUNK) {
    await tx.query(sql.unsafe`
      insert into attempt_costs (node_id, hour, day, account_id, project_id, batch_id, job_id, attempt_id, labels, attempts, slot_ms, cost_microns, charge_microns)
      select ${due.nodeId}, ${due.hour}, ${from.slice(0, 10)}::date, s.account_id, s.project_id, s.batch_id, s.job_id, s.id, s.labels, s.ended::int, s."slotMs",
        s."costMicrons", case when s.ended then s.charge_microns else 0 end
      from jsonb_to_recordset(${JSON.stringify(closed.shares.slice(at, at + CHUNK))}::jsonb) as s(id text, account_id text, project_id text, batch_id text,
        job_id text, labels jsonb, ended boolean, "slotMs" bigint, "costMicrons" bigint, charge_microns bigint)`)
  }
  return true
}

/** Of a machine that costs nothing, hours in which nothing ran are passed over: it may have stood there for years. */
function nextUsedHour(due: DueHour, closed: ClosedHour) {
  const until = new Date(closed.untilMs).toISOString()
  const next = sql.fragment`select min(a.assigned_at) from attempts a where a.node_id = n.id and (a.finished_at is null or a.finished_at >= ${until}::timestamptz)`
  return sql.fragment`greatest(${due.hour + 1}, floor(extract(epoch from coalesce((${next}), now()) - ${HOURS_FROM}) / 3600))::int`
}

/** Nodes that ended before anything was paid for them have no hours; returns how many there were. */
export async function forgetUnpaid(db: Db): Promise<number> {
  const forgotten = await db.query(sql.unsafe`
    update nodes n set next_hour = null where n.next_hour is not null and n.ended_at is not null and ${HOURS_FROM} is null`)
  return forgotten.rowCount
}
