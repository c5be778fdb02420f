import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import fc from 'fast-check'
import { pino } from 'pino'
import { sql } from 'slonik'
import { sleep, withDeadline } from '#core/service/time.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { recordPrices } from '#store/prices.ts'
import { RETENTION_STEPS } from '#store/retention.ts'
import { row } from '#store/row.ts'
import { closeHours, createCostCloser } from '../../../scheduler/cost/closer.ts'
import { HOUR_MS } from '../../../scheduler/cost/paid-hour.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'
import { createPaidNodes, type PaidNodes } from '../../harness/paid-nodes.ts'

const HourRow = row(
  Type.Object({ hour: Type.Number(), hour_microns: Type.Number(), paid_microns: Type.Number(), idle_microns: Type.Number(), day: Type.String() }),
)
const CostRow = row(
  Type.Object({ hour: Type.Number(), attempts: Type.Number(), slot_ms: Type.Number(), cost_microns: Type.Number(), charge_microns: Type.Number() }),
)
const NextRow = row(Type.Object({ next_hour: Type.Union([Type.Number(), Type.Null()]) }))
const SumRow = row(Type.Object({ hours: Type.Number(), paid: Type.Number(), idle: Type.Number(), cost: Type.Number(), charge: Type.Number() }))
const forever = new AbortController().signal

let database: TestDatabase
let admin: DatabasePool
let db: DatabasePool
let make: Factory
let paid: PaidNodes
/** A moment long ago, the same for all times of a test. */
let startMs: number

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl, 4)
  db = await createDbPool(database.schedulerUrl, 4)
  make = await createFactory(admin)
  paid = createPaidNodes(admin, make)
})
beforeEach(async () => {
  await admin.query(sql.unsafe`truncate jobs, nodes, node_hours, attempt_costs, prices, outbox, events cascade`)
  startMs = Date.now() - 20 * HOUR_MS
})
after(async () => {
  await Promise.all([db.end(), admin.end()])
  await database.drop()
})

const at = (ms: number) => new Date(startMs + ms).toISOString()
const minutes = (n: number) => n * 60_000

const bought = (endMs: number | null, change: Parameters<PaidNodes['node']>[2] = {}) => paid.node(startMs, endMs === null ? null : startMs + endMs, change)
const attempt = (nodeId: string, fromMs: number, untilMs: number | null, change: Parameters<PaidNodes['attempt']>[3] = {}) =>
  paid.attempt(nodeId, startMs + fromMs, untilMs === null ? null : startMs + untilMs, change)

const hoursOf = (nodeId: string) =>
  admin.any(sql.type(HourRow)`select hour, hour_microns, paid_microns, idle_microns, day::text from node_hours where node_id = ${nodeId} order by hour`)
const costsOf = (attemptId: string) =>
  admin.any(sql.type(CostRow)`select hour, attempts, slot_ms, cost_microns, charge_microns from attempt_costs where attempt_id = ${attemptId} order by hour`)
const nextHour = (nodeId: string) => admin.oneFirst(sql.type(NextRow)`select next_hour from nodes where id = ${nodeId}`)
const sums = () =>
  admin.one(sql.type(SumRow)`
    select (select count(*)::int from node_hours) as hours, (select coalesce(sum(paid_microns), 0)::bigint from node_hours) as paid,
      (select coalesce(sum(idle_microns), 0)::bigint from node_hours) as idle, (select coalesce(sum(cost_microns), 0)::bigint from attempt_costs) as cost,
      (select coalesce(sum(charge_microns), 0)::bigint from attempt_costs) as charge`)

test('an attempt over two hours has a share of each, its charge stands where it ended, and the rest is idle', async () => {
  const node = await bought(minutes(110))
  const id = await attempt(node, minutes(30), minutes(75), { charge: 3600 })
  assert.equal(await closeHours(db, forever), 2)
  assert.deepEqual(await costsOf(id), [
    { hour: 0, attempts: 0, slot_ms: minutes(30), cost_microns: 2400, charge_microns: 0 },
    { hour: 1, attempts: 1, slot_ms: minutes(15), cost_microns: 1200, charge_microns: 3600 },
  ])
  assert.deepEqual(
    (await hoursOf(node)).map((hour) => [hour.hour, hour.paid_microns, hour.idle_microns, hour.day]),
    [
      [0, 9600, 7200, at(0).slice(0, 10)],
      [1, 9600, 8400, at(HOUR_MS).slice(0, 10)],
    ],
  )
  assert.equal(await nextHour(node), null)
  assert.equal(await closeHours(db, forever), 0)
})

test('a lost attempt has its share too; a live one that of the hours that are over', async () => {
  const node = await bought(null)
  const lost = await attempt(node, 0, minutes(60), { state: 'lost' })
  const live = await attempt(node, minutes(18 * 60 + 30), null)
  await closeHours(db, forever)
  assert.deepEqual((await costsOf(lost))[0]?.cost_microns, 4800)
  assert.deepEqual(await costsOf(live), [{ hour: 18, attempts: 0, slot_ms: minutes(30), cost_microns: 2400, charge_microns: 0 }])
  // The last one ended just now: it waits for transactions that began in it.
  assert.equal(await nextHour(node), 19)
})

test('the last hour of a machine waits until nothing is live on it, and then has its charge', async () => {
  const node = await bought(minutes(50))
  const id = await attempt(node, minutes(10), null)
  assert.equal(await closeHours(db, forever), 0)
  await admin.query(sql.unsafe`update attempts set state = 'failed', cause = 'exit', finished_at = ${at(minutes(55))}, cost_microns = 7 where id = ${id}`)
  assert.equal(await closeHours(db, forever), 1)
  assert.deepEqual(await costsOf(id), [{ hour: 0, attempts: 1, slot_ms: minutes(45), cost_microns: 3600, charge_microns: 7 }])
})

test('an hour that cannot be closed is named, and keeps no other machine from being closed', async (t) => {
  const [broken, whole] = [await bought(minutes(50)), await bought(minutes(50))]
  await admin.query(sql.unsafe`create function refuse_hour() returns trigger language plpgsql as $$ begin raise exception 'no such hour'; end $$`)
  await admin.query(
    sql.unsafe`create trigger refuse_hour before insert on node_hours for each row when (new.location = 'broken') execute function refuse_hour()`,
  )
  t.after(() => admin.query(sql.unsafe`drop function refuse_hour cascade`))
  await admin.query(sql.unsafe`update nodes set location = 'broken' where id = ${broken}`)
  await assert.rejects(closeHours(db, forever), { message: `1 hours were closed; hour 0 of ${broken} cannot be closed: no such hour` })
  assert.deepEqual([await nextHour(broken), await nextHour(whole)], [0, null])
})

test('an hour has the price that held when it began, and is cut short where seconds are paid', async () => {
  const seller = { provider: 'test', billing: 'second' } as const
  const offer = (hourMicrons: number) => ({ serverType: 'cx23', location: 'nbg1', hourMicrons })
  await recordPrices(db, seller, [offer(1000), { ...offer(5), location: 'fsn1' }])
  await recordPrices(db, seller, [offer(1000)])
  await recordPrices(db, seller, [offer(2000)])
  const prices = await admin.any(sql.type(row(Type.Object({ hour_microns: Type.Number(), holds: Type.Boolean() })))`
    select hour_microns, valid_until is null as holds from prices where location = 'nbg1' order by valid_from`)
  assert.deepEqual(
    [...prices],
    [
      { hour_microns: 1000, holds: false },
      { hour_microns: 2000, holds: true },
    ],
  )
  await admin.query(sql.unsafe`update prices set valid_from = ${at(-HOUR_MS)}, valid_until = ${at(minutes(30))} where hour_microns = 1000`)
  await admin.query(sql.unsafe`update prices set valid_from = ${at(minutes(30))} where hour_microns = 2000`)
  const node = await bought(minutes(75), { hourMicrons: 9 })
  const elsewhere = await bought(minutes(30), { hourMicrons: 600, serverType: 'cx33' })
  await closeHours(db, forever)
  assert.deepEqual(
    (await hoursOf(node)).map((hour) => [hour.hour_microns, hour.paid_microns]),
    [
      [1000, 1000],
      [2000, 500],
    ],
  )
  // No price of it is known: its own, and paid as the provider's others are.
  assert.deepEqual((await hoursOf(elsewhere))[0]?.paid_microns, 300)
})

test('a machine set up by hand costs nothing, and leaves rows only of hours in which something ran', async () => {
  const node = await make.node()
  await admin.query(sql.unsafe`update nodes set enrolled_at = ${at(-5000 * HOUR_MS)} where id = ${node}`)
  const id = await attempt(node, minutes(90), minutes(100), { charge: 55 })
  await closeHours(db, forever)
  assert.deepEqual(await costsOf(id), [{ hour: 5001, attempts: 1, slot_ms: minutes(10), cost_microns: 0, charge_microns: 55 }])
  assert.equal((await hoursOf(node)).length, 1)
  assert.ok(Number(await nextHour(node)) >= 5019)
})

test('only the leader closes; a machine that was never paid for has no hours, one that never worked is idle', async () => {
  const unpaid = await bought(null)
  await admin.query(
    sql.unsafe`update nodes set billed_from = null, state = 'failed', public_key = null, version = null, enrolled_at = null where id = ${unpaid}`,
  )
  const unused = await bought(minutes(5))
  await admin.query(sql.unsafe`update nodes set state = 'failed', public_key = null, version = null, enrolled_at = null where id = ${unused}`)
  let leads = false
  const closer = createCostCloser(db, pino({ level: 'silent' }), () => leads)
  await closer.start()
  await closer.stop()
  assert.deepEqual([await nextHour(unpaid), await nextHour(unused)], [0, 0])
  leads = true
  const leading = createCostCloser(db, pino({ level: 'silent' }), () => leads)
  await leading.start()
  await withDeadline('closing the hours', 30_000, async (signal) => {
    while ((await nextHour(unused)) !== null) await sleep(20, signal)
  })
  await leading.stop()
  assert.equal(await nextHour(unpaid), null)
  assert.deepEqual([(await hoursOf(unused))[0]?.idle_microns, (await sums()).paid], [9600, 9600])
})

/** From now on Postgres ends a connection that closes hours at each 13th thing it does, which is now this and now that: at a row, or at the commit. */
async function dieNowAndThen(): Promise<void> {
  await admin.query(sql.unsafe`create sequence deeds`)
  await admin.query(sql.unsafe`
    create function die() returns trigger language plpgsql security definer as $$ begin
      if nextval('public.deeds') % 13 = 0 then perform pg_terminate_backend(pg_backend_pid()); end if;
      return null;
    end $$`)
  await admin.query(sql.unsafe`create trigger die after insert on node_hours for each row execute function die()`)
  await admin.query(sql.unsafe`create trigger die after insert on attempt_costs for each row execute function die()`)
  await admin.query(sql.unsafe`create trigger die after update on nodes for each row execute function die()`)
  await admin.query(
    sql.unsafe`create constraint trigger at_commit after insert on node_hours deferrable initially deferred for each row execute function die()`,
  )
}

test('whoever closes at the same time, and wherever it is killed: each hour once', async () => {
  for (let i = 0; i < 12; i++) {
    const node = await bought(minutes(200), { hourMicrons: 1000 + i })
    for (let n = 0; n < 6; n++) await attempt(node, minutes(7 * n), minutes(40 + 20 * n), { charge: 1 })
  }
  const others = await Promise.all([createDbPool(database.schedulerUrl, 2), createDbPool(database.schedulerUrl, 2)])
  await dieNowAndThen()
  let died = 0
  for (let n = 0; n < 8; n++) {
    const ends = await Promise.allSettled(others.map((other) => closeHours(other, forever)))
    died += ends.filter((end) => end.status === 'rejected').length
  }
  await admin.query(sql.unsafe`drop function die cascade`)
  assert.ok(died > 0, 'none was killed')
  await closeHours(db, forever)
  const found = await sums()
  assert.equal(found.hours, 12 * 4)
  assert.equal(found.paid, 4 * (12 * 1000 + 66))
  assert.equal(found.cost + found.idle, found.paid)
  assert.equal(found.charge, 12 * 6)
  await Promise.all(others.map((other) => other.end()))
})

test('over random lives in Postgres: Σ cost + idle = Σ hours × price, and the charges are those of the attempts', async () => {
  const life = fc.record({
    endMs: fc.integer({ min: 0, max: 6 * HOUR_MS }),
    hourMicrons: fc.integer({ min: 0, max: 100_000 }),
    slots: fc.integer({ min: 1, max: 8 }),
    ran: fc.array(
      fc.record({
        fromMs: fc.integer({ min: 0, max: 6 * HOUR_MS }),
        ms: fc.integer({ min: 0, max: 3 * HOUR_MS }),
        slots: fc.integer({ min: 1, max: 4 }),
        charge: fc.nat(500),
      }),
      { maxLength: 8 },
    ),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(life, { minLength: 1, maxLength: 4 }), async (lives) => {
      await admin.query(sql.unsafe`truncate jobs, nodes, node_hours, attempt_costs, outbox, events cascade`)
      let [expected, charged] = [0, 0]
      for (const { endMs, hourMicrons, slots, ran } of lives) {
        const node = await bought(endMs, { hourMicrons, slots })
        for (const { fromMs, ms, charge, ...use } of ran) await attempt(node, fromMs, fromMs + ms, { ...use, charge })
        expected += hourMicrons * Math.max(1, Math.ceil(endMs / HOUR_MS))
        charged += ran.reduce((sum, { charge }) => sum + charge, 0)
      }
      await closeHours(db, forever)
      const found = await sums()
      assert.deepEqual([found.paid, found.cost + found.idle, found.charge], [expected, expected, charged])
    }),
    { numRuns: 25 },
  )
})

test('jobs that go leave what they cost, by hour, batch and labels; none goes before its hours are closed', async () => {
  const node = await bought(minutes(50))
  await attempt(node, 0, minutes(20), { charge: 5 })
  await attempt(node, 0, minutes(30), { charge: 6 })
  await admin.query(sql.unsafe`update projects set retain_jobs_days = 1`)
  await admin.query(sql.unsafe`delete from outbox`)
  const deleteJobs = async () => RETENTION_STEPS.find((step) => step.name === 'jobs')?.run(db, 100)
  startMs -= 48 * HOUR_MS
  await admin.query(sql.unsafe`update nodes set billed_from = ${at(0)}, billed_until = ${at(minutes(50))}`)
  await admin.query(sql.unsafe`update attempts set assigned_at = assigned_at - interval '48 hours', finished_at = finished_at - interval '48 hours'`)
  await admin.query(sql.unsafe`update jobs set finished_at = finished_at - interval '48 hours'`)
  assert.equal(await deleteJobs(), 0)
  await closeHours(db, forever)
  const before = await sums()
  assert.equal(await deleteJobs(), 2)
  assert.deepEqual(await sums(), before)
  assert.deepEqual(
    [...(await admin.any(sql.type(CostRow)`select hour, attempts, slot_ms, cost_microns, charge_microns from attempt_costs where job_id is null`))],
    [{ hour: 0, attempts: 2, slot_ms: minutes(50), cost_microns: 4000, charge_microns: 11 }],
  )
})
