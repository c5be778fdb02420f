import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import { sql } from 'slonik'
import { validateJob } from '#core/job/validate.ts'
import { RUNTIMES } from '#core/runtimes.ts'
import { type ClaimStore, createClaimStore } from '#store/claims.ts'
import { cancelJob } from '#store/job-cancel.ts'
import { insertBatch, insertJob } from '#store/job-submit.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { failOverdue, nextOverdueMs } from '#store/queue-limit.ts'
import { accountDb } from '#store/tenant.ts'
import { createClaims } from '../../../scheduler/claims.ts'
import { endAttempt } from '../../../scheduler/finish.ts'
import { SUCCESS } from '../../harness/attempts.ts'
import { validateBatch } from '../../harness/batch.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'

const log = pino({ level: 'silent' })
const SPEC = { runtime: 'bash', command: ['true'], maxQueueSeconds: 100 }
let database: TestDatabase
let admin: DatabasePool
let gateway: DatabasePool
let db: DatabasePool
let store: ClaimStore
let make: Factory

const ownDb = () => accountDb(gateway, make.accountId)

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl)
  gateway = await createDbPool(database.gatewayUrl)
  db = await createDbPool(database.schedulerUrl)
  store = createClaimStore(database.schedulerUrl)
  make = await createFactory(admin)
})
beforeEach(async () => {
  await admin.query(sql.unsafe`truncate jobs, nodes, batches, outbox cascade`)
})
after(async () => {
  await store.close()
  await Promise.all([gateway.end(), db.end(), admin.end()])
  await database.drop()
})

const owner = () => ({ accountId: make.accountId, projectId: make.projectId })
const submit = async (spec: object = SPEC) => (await ownDb().transaction((tx) => insertJob(tx, owner(), validateJob({ spec }, RUNTIMES)))).id
/** As if so many seconds had passed. */
const wait = (seconds: number) => admin.query(sql.unsafe`update jobs set queue_until = queue_until - make_interval(secs => ${seconds})`)

test('a job that waits for a slot longer than it may fails with a cause of its own', async () => {
  const id = await submit()
  const free = await submit({ runtime: 'bash', command: ['true'] })
  assert.ok(((await nextOverdueMs(db)) ?? 0) > 90_000)
  assert.deepEqual(await failOverdue(db), { failed: 0, queued: 0 })
  await wait(101)
  assert.deepEqual(await failOverdue(db), { failed: 1, queued: 0 })
  const state = await make.jobState(id)
  assert.deepEqual([state.state, state.cause, state.attempt_count], ['failed', 'queue_timeout', 0])
  assert.deepEqual(await make.eventTypes(id), ['job.submitted', 'job.failed'])
  assert.equal((await make.jobState(free)).state, 'queued', 'without a limit it waits for ever')
  assert.equal(await nextOverdueMs(db), undefined)
})

test('a job that runs is not overdue, and after a retry it may wait for as long again', async () => {
  const id = await submit({ ...SPEC, retries: 1, backoff: { initialSeconds: 0 } })
  const [job] = await createClaims(store, log).claim(await make.node(), { slots: 1, memoryBytes: 2 ** 30 })
  assert.equal(job?.jobId, id)
  assert.equal(await nextOverdueMs(db), undefined)
  await db.transaction((tx) => endAttempt(tx, log, job?.nodeId ?? '', job?.attemptId ?? '', null, { ...SUCCESS, exitCode: 1 }))
  assert.equal((await make.jobState(id)).state, 'queued')
  assert.ok(((await nextOverdueMs(db)) ?? 0) > 90_000)
})

test('a job with a limit can be cancelled', async () => {
  const id = await submit()
  assert.equal((await ownDb().transaction((tx) => cancelJob(tx, make.projectId, id)))?.ended, 1)
  assert.equal((await make.jobState(id)).state, 'cancelled')
})

test('an overdue job of a batch makes room for the next, whose time begins then', async () => {
  const batch = validateBatch({ parallel: 1, template: SPEC, items: [{}, {}] }, RUNTIMES)
  const { id } = await ownDb().transaction((tx) => insertBatch(tx, owner(), { ...batch, size: batch.jobs.length }, batch.jobs))
  await wait(101)
  assert.deepEqual(await failOverdue(db), { failed: 1, queued: 1 })
  assert.ok(((await nextOverdueMs(db)) ?? 0) > 90_000)
  await wait(101)
  assert.deepEqual(await failOverdue(db), { failed: 1, queued: 0 })
  assert.equal(await admin.exists(sql.unsafe`select 1 from batches where id = ${id} and finished_at is not null`), true)
})
