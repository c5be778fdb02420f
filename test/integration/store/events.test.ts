import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { pino } from 'pino'
import { sql } from 'slonik'
import { EVENT_TYPES } from '#core/event-types.ts'
import { validateJob } from '#core/job/validate.ts'
import { RUNTIMES } from '#core/runtimes.ts'
import type { ClaimedJob } from '#store/claims.ts'
import { releaseDueHolds } from '#store/holds.ts'
import { cancelBatch, cancelJob } from '#store/job-cancel.ts'
import { insertBatch, insertJob } from '#store/job-submit.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { failOverdue } from '#store/queue-limit.ts'
import { row } from '#store/row.ts'
import { accountDb } from '#store/tenant.ts'
import { silentResult } from '../../../scheduler/finish.ts'
import { createReports } from '../../../scheduler/reports.ts'
import { type Attempts, createAttempts } from '../../harness/attempts.ts'
import { validateBatch } from '../../harness/batch.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'

let database: TestDatabase
let admin: DatabasePool
let gateway: DatabasePool
let scheduler: DatabasePool
let attempts: Attempts
let make: Factory

const ownDb = () => accountDb(gateway, make.accountId)

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl)
  gateway = await createDbPool(database.gatewayUrl)
  scheduler = await createDbPool(database.schedulerUrl)
  make = await createFactory(admin)
  attempts = await createAttempts(database.schedulerUrl, make)
  await watchChanges()
  await everyWay()
})
after(async () => {
  await attempts.close()
  await Promise.all([gateway.end(), scheduler.end(), admin.end()])
  await database.drop()
})

/** Postgres itself writes down each change of state, whoever makes it, with the transaction that it was in. */
async function watchChanges(): Promise<void> {
  await admin.query(sql.unsafe`create table changes (n serial, object_id text, "from" text, "to" text, xid xid8 default pg_current_xact_id())`)
  await admin.query(sql.unsafe`
    create function note_job() returns trigger language plpgsql security definer as $$ begin
      if tg_op = 'INSERT' then insert into public.changes (object_id, "to") values (new.id, new.state);
      elsif new.state <> old.state then insert into public.changes (object_id, "from", "to") values (new.id, old.state, new.state);
      end if; return null;
    end $$`)
  await admin.query(sql.unsafe`
    create function note_batch() returns trigger language plpgsql security definer as $$ begin
      if tg_op = 'INSERT' then insert into public.changes (object_id, "to") values (new.id, 'batch.submitted');
      elsif new.finished_at is distinct from old.finished_at then insert into public.changes (object_id, "to") values (new.id, 'batch.completed');
      end if; return null;
    end $$`)
  await admin.query(sql.unsafe`create trigger note after insert or update on jobs for each row execute function note_job()`)
  await admin.query(sql.unsafe`create trigger note after insert or update on batches for each row execute function note_batch()`)
}

const owner = () => ({ accountId: make.accountId, projectId: make.projectId })
const SPEC = { runtime: 'bash', command: ['true'] }
const submit = async (change: object = {}) =>
  (await ownDb().transaction((tx) => insertJob(tx, owner(), validateJob({ spec: { ...SPEC, ...change } }, RUNTIMES)))).id
const submitBatch = async (size: number, change: object = {}, spec: object = {}) => {
  const batch = validateBatch({ template: { ...SPEC, ...spec }, items: Array.from({ length: size }, () => ({})), ...change }, RUNTIMES)
  return (await ownDb().transaction((tx) => insertBatch(tx, owner(), { ...batch, size }, batch.jobs))).id
}
const claim = async (): Promise<ClaimedJob> => {
  const [job] = await attempts.claim(await make.node())
  assert.ok(job)
  return job
}
const due = () => admin.query(sql.unsafe`update jobs set hold_until = now() where hold_until is not null`)

/** Makes jobs and batches go every way there is. */
async function everyWay(): Promise<void> {
  await submit()
  await attempts.finish(await claim())
  // A failure that is tried again after a pause, then a node that is lost, then the end.
  await submit({ retries: 1, backoff: { initialSeconds: 60 } })
  await attempts.finish(await claim(), { exitCode: 3 })
  await due()
  await releaseDueHolds(scheduler)
  await attempts.finish(await claim(), silentResult('lost', 'its node is silent'))
  await attempts.finish(await claim(), { exitCode: 3 })
  // Drained.
  await submit()
  await attempts.finish(await claim(), silentResult('interrupted', 'its node was drained'))
  // Cancelled while it runs, and while it waits.
  const running = await claim()
  const reports = createReports(scheduler, pino({ level: 'silent' }), () => undefined)
  await reports.report(running.nodeId, { kind: 'progress', attemptId: running.attemptId, leaseToken: running.leaseToken, state: 'running', imageDigest: null })
  await ownDb().transaction((tx) => cancelJob(tx, make.projectId, running.jobId))
  await attempts.finish(running, { cause: 'cancelled', exitCode: null })
  const waiting = await submit({ notBefore: '2100-01-01T00:00:00Z' })
  await ownDb().transaction((tx) => cancelJob(tx, make.projectId, waiting))
  // Too long in the queue, alone and in a batch that goes on.
  await submit({ maxQueueSeconds: 1 })
  await submitBatch(2, { parallel: 1 }, { maxQueueSeconds: 1 })
  for (let i = 0; i < 2; i++) {
    await admin.query(sql.unsafe`update jobs set queue_until = now() where queue_until is not null`)
    await failOverdue(scheduler)
  }
  // Too many failures; cancelled as a whole; to its end.
  await submitBatch(3, { parallel: 1, maxFailures: 1 })
  await attempts.finish(await claim(), { exitCode: 1 })
  const batch = await submitBatch(3, { parallel: 2 })
  const first = await claim()
  await ownDb().transaction((tx) => cancelBatch(tx, make.projectId, batch))
  await attempts.finish(first, { cause: 'cancelled', exitCode: null })
  await submitBatch(2, { parallel: 1 })
  await attempts.finish(await claim())
  await attempts.finish(await claim())
}

const Change = row(Type.Object({ object_id: Type.String(), from: Type.Union([Type.String(), Type.Null()]), to: Type.String(), told: Type.Number() }))
const Told = row(Type.Object({ type: Type.String(), data: Type.Record(Type.String(), Type.Unknown()) }))

test('every change of state is an event of the same transaction', async () => {
  const changes = await admin.any(sql.type(Change)`
    select c.object_id, c."from", c."to", (
      select count(*) from events e join outbox o on o.event_id = e.id
      where o.xid = c.xid and case when e.job_id is null then e.batch_id = c.object_id and e.type = c."to" else e.job_id = c.object_id and e.data ->> 'state' = c."to" end
    ) as told
    from changes c order by c.n`)
  assert.deepEqual(
    changes.filter(({ told }) => told !== 1),
    [],
  )
  const ways = new Set(changes.map(({ from, to }) => `${from ?? 'none'} → ${to}`))
  for (const way of [
    ...['none → queued', 'none → held', 'held → queued', 'held → cancelled', 'queued → running', 'queued → failed', 'queued → cancelled'],
    ...['running → queued', 'running → held', 'running → succeeded', 'running → failed', 'running → cancelled', 'none → batch.completed'],
  ])
    assert.ok(ways.has(way), `${way} was not tried: ${[...ways].join(', ')}`)
})

test('each type of event is known, and an end says how, whoever brought it about', async () => {
  const told = await admin.any(sql.type(Told)`select type, data from events order by id`)
  const known: readonly string[] = EVENT_TYPES
  assert.deepEqual(
    told.filter(({ type }) => !known.includes(type)),
    [],
  )
  assert.deepEqual(new Set(told.map(({ type }) => type)), new Set(known.filter((type) => !['webhook.disabled', 'spending.threshold'].includes(type))))
  const ends = told.filter(({ type }) => ['job.succeeded', 'job.failed', 'job.cancelled'].includes(type))
  for (const { type, data } of ends) {
    assert.equal(`job.${data.state}`, type)
    assert.equal(typeof data.cause, 'string', JSON.stringify(data))
    for (const key of ['exitCode', 'message']) assert.ok(key in data, JSON.stringify(data))
  }
})
