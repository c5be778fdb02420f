import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { ClaimReply, ClaimRequest } from '#bus/messages/claim.ts'
import { ReportReply, ReportRequest } from '#bus/messages/report.ts'
import { nodeRequestSubject } from '#bus/subjects.ts'
import { sleep, withDeadline } from '#core/service/time.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { row } from '#store/row.ts'
import { aFinishedReport } from '../../harness/attempts.ts'
import { nodeBus } from '../../harness/bus.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'
import { freePorts } from '../../harness/ports.ts'
import { startProcess, type TestProcess } from '../../harness/process.ts'
import { scrape } from '../../harness/scrape.ts'

const ANSWER_MS = 30_000
let database: TestDatabase
let admin: DatabasePool
let other: DatabasePool
let make: Factory
let scheduler: TestProcess
let address: string
const values = async (...series: string[]) => {
  const { value } = await scrape(address)
  return series.map(value)
}

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl, 2)
  other = await createDbPool(database.adminUrl, 1)
  make = await createFactory(admin)
  address = `127.0.0.1:${(await freePorts()).RGRID_PORT_API}`
  scheduler = startProcess('scheduler', { RGRID_DATABASE_URL: database.schedulerUrl, RGRID_METRICS_LISTEN: address, RGRID_LEASE_SECONDS: '10' })
  await scheduler.logged(/"started"/)
  await scheduler.logged(/is the leader now/)
})
after(async () => {
  await scheduler.stop()
  await Promise.all([admin.end(), other.end()])
  await database.drop()
})

test('a scheduler shows that it is connected, leads, and how the process is', async () => {
  assert.deepEqual(await values('rgrid_leader', 'rgrid_bus_connected', 'rgrid_db_up', 'rgrid_reaper_holding_fire', 'rgrid_nodes_lost_total'), [1, 1, 1, 0, 0])
  assert.deepEqual(await values('rgrid_webhook_pending', 'rgrid_webhook_oldest_pending_seconds'), [0, 0])
  const { text } = await scrape(address)
  assert.match(text, /^# TYPE rgrid_jobs gauge$/m)
  assert.match(text, /^process_resident_memory_bytes \d/m)
  assert.match(text, /^nodejs_eventloop_lag_seconds /m)
})

test('jobs, claims and ends of attempts are counted', async (t) => {
  const batch = await make.batch({ size: 2, parallel: 1 })
  for (let i = 0; i < 2; i++) await make.job({ batchId: batch, batchIndex: i, held: 'batch' })
  await make.job()
  const JOBS = ['queued', 'held', 'running'].map((state) => `rgrid_jobs{state="${state}"}`)
  assert.deepEqual(await values(...JOBS), [1, 2, 0])
  const { bus, nodeId } = await nodeBus(await make.node())
  t.after(() => bus.close())
  const claim = () => bus.request(nodeRequestSubject(nodeId, 'claim'), ClaimRequest, ClaimReply, { slots: 2, memoryBytes: 2 ** 31 }, ANSWER_MS)
  const { assignments } = await claim()
  assert.equal(assignments.length, 1)
  assert.deepEqual(await values(...JOBS, 'rgrid_claims_total', 'rgrid_jobs_claimed_total'), [0, 2, 1, 1, 1])
  await claim()
  const report = aFinishedReport(assignments[0] as (typeof assignments)[0])
  // Said twice, as nodes do when an answer is lost: counted once.
  for (let i = 0; i < 2; i++) await bus.request(nodeRequestSubject(nodeId, 'report'), ReportRequest, ReportReply, report, ANSWER_MS)
  assert.deepEqual(await values(...JOBS, 'rgrid_claims_total', 'rgrid_jobs_claimed_total'), [0, 2, 0, 2, 1])
  assert.deepEqual(await values('rgrid_attempts_ended_total{cause="exit"}'), [1])
  bus.connection.publish(nodeRequestSubject(nodeId, 'claim'), '{', { reply: `_INBOX_${nodeId}.x` })
  await claim()
  assert.deepEqual(await values('rgrid_bus_bad_messages_total', 'rgrid_claims_total'), [1, 3])
  await admin.query(sql.unsafe`truncate jobs, nodes, batches cascade`)
})

test('what waits is counted by its reason, for how long, and where it could go', async () => {
  const batch = await make.batch({ size: 1, parallel: 1 })
  await make.job({ batchId: batch, batchIndex: 0, held: 'batch' })
  const [retried, later, old] = [await make.job(), await make.job(), await make.job()]
  await admin.query(sql.unsafe`update jobs set state = 'held', hold = 'backoff', hold_until = now() + interval '1 hour' where id = ${retried}`)
  await admin.query(sql.unsafe`update jobs set state = 'held', hold = 'not_before', hold_until = now() + interval '1 hour' where id = ${later}`)
  await admin.query(sql.unsafe`update jobs set queued_at = now() - interval '10 minutes' where id = ${old}`)
  for (const state of ['ready', 'ready', 'draining', 'lost', 'gone']) await make.node({ state, slots: 3 })
  const queue = ['queued', 'batch', 'backoff', 'not_before'].map((reason) => `rgrid_queue_jobs{pool="default",reason="${reason}"}`)
  const nodes = ['ready', 'draining', 'lost'].map((state) => `rgrid_nodes{pool="default",state="${state}"}`)
  assert.deepEqual(await values(...queue, ...nodes), [1, 1, 1, 1, 2, 1, 1])
  assert.deepEqual(await values('rgrid_slots{pool="default",state="free"}', 'rgrid_slots{pool="default",state="used"}'), [6, 0])
  const [age] = await values('rgrid_queue_oldest_seconds')
  assert.ok(Number(age) >= 600 && Number(age) < 700, String(age))
  // One that comes back to the queue waits anew; any other change leaves the time alone.
  await admin.query(sql.unsafe`update jobs set queued_at = now() - interval '1 day' where id in (${retried}, ${old})`)
  await admin.query(sql.unsafe`update jobs set state = 'queued', hold = null, hold_until = null where id = ${retried}`)
  await admin.query(sql.unsafe`update jobs set reason = 'x', state = 'queued' where id = ${old}`)
  const waited = sql.type(row(Type.Object({ waited: Type.Number() })))
  const hours = (id: string) => admin.oneFirst(waited`select round(extract(epoch from now() - queued_at) / 3600)::int as waited from jobs where id = ${id}`)
  assert.deepEqual([await hours(retried), await hours(old)], [0, 24])
  await admin.query(sql.unsafe`truncate jobs, nodes, batches cascade`)
})

test('what waits in the outbox is counted, and how long', async () => {
  await withDeadline('relaying what the tests before did', 30_000, async (signal) => {
    while (await other.exists(sql.unsafe`select 1 from outbox`)) await sleep(20, signal)
  })
  await admin.transaction(async (tx) => {
    await tx.query(sql.unsafe`lock table outbox in access exclusive mode`)
    const [pending] = await values('rgrid_outbox_pending')
    assert.equal(pending, undefined, 'a value that cannot be read is absent')
  })
  const insert = sql.unsafe`
    with added as (
      insert into events (account_id, project_id, type, data, created_at) values (${make.accountId}, ${make.projectId}, 'test', '{}', now() - interval '1 hour') returning id
    ) insert into outbox (event_id) select id from added`
  // An open transaction that is older keeps the relay from taking it, and the row stays to be seen.
  const opened = Promise.withResolvers<void>()
  const seen = Promise.withResolvers<void>()
  const holder = admin.transaction(async (tx) => {
    await tx.query(sql.unsafe`select pg_current_xact_id()`)
    opened.resolve()
    await seen.promise
  })
  await opened.promise
  await other.query(insert)
  const [pending, age] = await values('rgrid_outbox_pending', 'rgrid_outbox_oldest_seconds')
  seen.resolve()
  await holder
  assert.equal(pending, 1)
  assert.ok(Number(age) >= 3600 && Number(age) < 3700, String(age))
})

test('holding fire is seen, and the nodes that are lost after it', async () => {
  for (let i = 0; i < 4; i++) await make.node()
  await admin.query(sql.unsafe`update nodes set enrolled_at = now() - interval '20 seconds'`)
  await scheduler.logged(/holding fire/)
  assert.deepEqual(await values('rgrid_reaper_holding_fire', 'rgrid_nodes_lost_total'), [1, 0])
  // Who is silent for long says nothing of the bus.
  await admin.query(sql.unsafe`update nodes set enrolled_at = now() - interval '1 hour'`)
  for (const id of await admin.anyFirst(sql.unsafe`select id from nodes`)) await scheduler.logged(new RegExp(`${id}.*node is lost`))
  assert.deepEqual(await values('rgrid_reaper_holding_fire'), [0])
})

test('nothing else is served there', async () => {
  for (const [method, path] of [
    ['GET', '/'],
    ['POST', '/metrics'],
    ['GET', '/v1/nodes'],
  ] as const)
    assert.equal((await fetch(`http://${address}${path}`, { method })).status, 404)
})
