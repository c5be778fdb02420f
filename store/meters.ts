import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { Metrics } from '#core/service/metrics.ts'
import { withDeadline } from '#core/service/time.ts'
import { checkDb, type DatabasePool, type Db } from './pool.ts'
import { row } from './row.ts'

/** Rows are counted to here and no further, so that a full queue does not make each scrape slow. */
export const COUNT_LIMIT = 100_000

/** Shorter than what a reading may take, or silence would be no answer instead of 0. */
const UP_DEADLINE_MS = 1500

/** Measures a process's connections to Postgres. */
export function meterDb(metrics: Metrics, db: DatabasePool): void {
  metrics.gauge('rgrid_db_up', 'Whether Postgres answers this process', () =>
    withDeadline('postgres', UP_DEADLINE_MS, () => checkDb(db)).then(
      () => 1,
      () => 0,
    ),
  )
  const connections = () => {
    const { acquiredConnections, idleConnections, waitingClients } = db.state()
    return { used: acquiredConnections, idle: idleConnections, awaited: waitingClients }
  }
  metrics.gauge('rgrid_db_connections', 'Connections to Postgres that are used and idle, and statements that wait for one', connections, 'state')
}

/** Measures what is in the database: jobs that have not ended, and the outbox. The same whichever process asks. */
export function meterWork(metrics: Metrics, db: Db): void {
  metrics.gauge('rgrid_jobs', `Jobs that have not ended, each state counted to ${COUNT_LIMIT}`, () => countJobs(db), 'state')
  metrics.gauge('rgrid_outbox_pending', `Events not relayed to the bus yet, counted to ${COUNT_LIMIT}`, () => countOutbox(db))
  metrics.gauge('rgrid_outbox_oldest_seconds', 'Age of the oldest event not relayed to the bus yet; 0 without one', () => outboxAge(db))
  metrics.gauge(
    'rgrid_webhook_pending',
    `Webhook deliveries that are to be sent, or sent again, counted to ${COUNT_LIMIT}`,
    async () => (await countDeliveries(db)).count,
  )
  metrics.gauge('rgrid_webhook_oldest_pending_seconds', 'Age of the oldest of them; 0 without one', async () => (await countDeliveries(db)).age)
}

const CountRow = row(Type.Object({ count: Type.Number() }))
const CountsRow = row(Type.Object({ queued: Type.Number(), held: Type.Number(), running: Type.Number() }))

// Each part by an index of its own: finished jobs, however many, are never read. A hold is of a batch that has not
// ended, or has a time.
async function countJobs(db: Db): Promise<Record<'queued' | 'held' | 'running', number>> {
  return db.one(sql.type(CountsRow)`
    select
      (select count(*) from (select 1 from jobs where state = 'queued' limit ${COUNT_LIMIT}) q)::int as queued,
      (select count(*) from (select 1 from attempts where finished_at is null limit ${COUNT_LIMIT}) r)::int as running,
      least(${COUNT_LIMIT}::bigint,
        (select count(*) from (select 1 from jobs where hold_until is not null limit ${COUNT_LIMIT}) t)
        + (select count(*) from (
            select 1 from batches b
            cross join lateral (select 1 from jobs where batch_id = b.id and state = 'held' and hold = 'batch' limit ${COUNT_LIMIT}) j
            where b.finished_at is null limit ${COUNT_LIMIT}) h))::int as held`)
}

async function countOutbox(db: Db): Promise<number> {
  return db.oneFirst(sql.type(CountRow)`select count(*)::int as count from (select 1 from outbox limit ${COUNT_LIMIT}) o`)
}

const AgeRow = row(Type.Object({ age: Type.Number() }))

async function outboxAge(db: Db): Promise<number> {
  const age = await db.maybeOneFirst(sql.type(AgeRow)`
    select greatest(0, extract(epoch from now() - e.created_at))::float8 as age
    from outbox o join events e on e.id = o.event_id order by o.event_id limit 1`)
  return age ?? 0
}

const DeliveriesRow = row(Type.Object({ count: Type.Number(), age: Type.Number() }))

async function countDeliveries(db: Db): Promise<{ count: number; age: number }> {
  return db.one(sql.type(DeliveriesRow)`
    select count(*)::int as count, coalesce(greatest(0, extract(epoch from now() - min(created_at))), 0)::float8 as age
    from (select created_at from webhook_deliveries where state = 'pending' limit ${COUNT_LIMIT}) d`)
}
