import { type Static, Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { HOLDS } from '#core/job/state.ts'
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

/** Measures what is in the database: jobs that have not ended, nodes, and the outbox. The same whichever process asks. */
export function meterWork(metrics: Metrics, db: Db, pool: string): void {
  // One reading for the three that show the queue, as they are asked for at one time.
  const queue = shared(() => readQueue(db))
  metrics.gauge('rgrid_jobs', `Jobs that have not ended, each state counted to ${COUNT_LIMIT}`, async () => byState(await queue()), 'state')
  metrics.gauges('rgrid_queue_jobs', `Jobs that wait, by what for, each counted to ${COUNT_LIMIT}`, ['pool', 'reason'], async () => {
    const waiting = await queue()
    return REASONS.map((reason) => ({ labels: { pool, reason }, value: waiting[reason] }))
  })
  metrics.gauge('rgrid_queue_oldest_seconds', 'How long the job that has been queued the longest is queued; 0 without one', async () => (await queue()).age)
  meterNodes(metrics, db)
  metrics.gauge('rgrid_outbox_pending', `Events not relayed to the bus yet, counted to ${COUNT_LIMIT}`, () => countOutbox(db))
  metrics.gauge('rgrid_outbox_oldest_seconds', 'Age of the oldest event not relayed to the bus yet; 0 without one', () => outboxAge(db))
  const deliveries = shared(() => countDeliveries(db))
  metrics.gauge(
    'rgrid_webhook_pending',
    `Webhook deliveries that are to be sent, or sent again, counted to ${COUNT_LIMIT}`,
    async () => (await deliveries()).count,
  )
  metrics.gauge('rgrid_webhook_oldest_pending_seconds', 'Age of the oldest of them; 0 without one', async () => (await deliveries()).age)
  metrics.gauge('rgrid_webhook_endpoints', 'Webhook endpoints that are enabled, and that were switched off by what', () => countEndpoints(db), 'state')
}

/** Readers that ask while a reading is under way share it. */
function shared<T>(read: () => Promise<T>): () => Promise<T> {
  let underWay: Promise<T> | undefined
  return () => {
    underWay ??= read().finally(() => {
      underWay = undefined
    })
    return underWay
  }
}

const CountRow = row(Type.Object({ count: Type.Number() }))
/** What a job waits for: a slot, or what it is held by. */
const REASONS = ['queued', ...HOLDS] as const
const Queue = Type.Object({
  queued: Type.Number(),
  batch: Type.Number(),
  backoff: Type.Number(),
  not_before: Type.Number(),
  running: Type.Number(),
  age: Type.Number(),
})
type Queue = Static<typeof Queue>

function byState(queue: Queue): Record<'queued' | 'held' | 'running', number> {
  const held = HOLDS.reduce((sum, hold) => sum + queue[hold], 0)
  return { queued: queue.queued, held: Math.min(COUNT_LIMIT, held), running: queue.running }
}

// Each part by an index of its own: finished jobs, however many, are never read. A hold is of a batch that has not
// ended, or has a time.
async function readQueue(db: Db): Promise<Queue> {
  return db.one(sql.type(row(Queue))`
    select q.queued, q.age, t.backoff, t.not_before,
      (select count(*) from (select 1 from attempts where finished_at is null limit ${COUNT_LIMIT}) r)::int as running,
      (select count(*) from (
        select 1 from batches b
        cross join lateral (select 1 from jobs where batch_id = b.id and state = 'held' and hold = 'batch' limit ${COUNT_LIMIT}) j
        where b.finished_at is null limit ${COUNT_LIMIT}) h)::int as batch
    from (
      select count(*)::int as queued, coalesce(greatest(0, extract(epoch from now() - min(queued_at))), 0)::float8 as age
      from (select queued_at from jobs where state = 'queued' limit ${COUNT_LIMIT}) j
    ) q, (
      select count(*) filter (where hold = 'backoff')::int as backoff, count(*) filter (where hold = 'not_before')::int as not_before
      from (select hold from jobs where hold_until is not null limit ${COUNT_LIMIT}) j
    ) t`)
}

/** More pools than this are not shown: a node says itself which it is in. */
const MAX_POOLS = 50
const NODE_STATES = ['ready', 'draining', 'lost'] as const
const Pool = Type.Object({
  pool: Type.String(),
  ready: Type.Number(),
  draining: Type.Number(),
  lost: Type.Number(),
  used: Type.Number(),
  total: Type.Number(),
})
type Pool = Static<typeof Pool>

function meterNodes(metrics: Metrics, db: Db): void {
  const pools = shared(() => readPools(db))
  metrics.gauges('rgrid_nodes', 'Nodes that are not gone, by their state', ['pool', 'state'], async () =>
    (await pools()).flatMap((pool) => NODE_STATES.map((state) => ({ labels: { pool: pool.pool, state }, value: pool[state] }))),
  )
  metrics.gauges('rgrid_slots', 'Slots of nodes that are ready: those that leases use, and those that are free', ['pool', 'state'], async () =>
    (await pools()).flatMap(({ pool, used, total }) => [
      { labels: { pool, state: 'used' }, value: used },
      { labels: { pool, state: 'free' }, value: Math.max(0, total - used) },
    ]),
  )
}

async function readPools(db: Db): Promise<readonly Pool[]> {
  return db.any(sql.type(row(Pool))`
    select n.pool, count(*) filter (where n.state = 'ready')::int as ready, count(*) filter (where n.state = 'draining')::int as draining,
      count(*) filter (where n.state = 'lost')::int as lost,
      coalesce(sum(n.slots) filter (where n.state = 'ready'), 0)::int as total, coalesce(sum(l.used) filter (where n.state = 'ready'), 0)::int as used
    from nodes n
    left join (select node_id, sum(slots) as used from attempts where finished_at is null group by node_id) l on l.node_id = n.id
    where n.state <> 'gone' group by n.pool order by n.pool limit ${MAX_POOLS}`)
}

const EndpointsRow = row(Type.Object({ enabled: Type.Number(), user: Type.Number(), gone: Type.Number(), failing: Type.Number() }))

async function countEndpoints(db: Db): Promise<Record<'enabled' | 'user' | 'gone' | 'failing', number>> {
  return db.one(sql.type(EndpointsRow)`
    select count(*) filter (where enabled)::int as enabled, count(*) filter (where disabled_reason = 'user')::int as user,
      count(*) filter (where disabled_reason = 'gone')::int as gone, count(*) filter (where disabled_reason = 'failing')::int as failing
    from (select enabled, disabled_reason from webhook_endpoints where kind = 'endpoint' limit ${COUNT_LIMIT}) e`)
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
