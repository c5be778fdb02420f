import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import { recordEvents } from '#store/events.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { RETENTION_STEPS } from '#store/retention.ts'
import { accountDb } from '#store/tenant.ts'
import { type Attempts, createAttempts } from '../../harness/attempts.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'
import { anEndpoint, aSecret, deliveriesOf, tell } from '../../harness/webhooks.ts'

let database: TestDatabase
let admin: DatabasePool
let gateway: DatabasePool
let db: DatabasePool
let make: Factory
let attempts: Attempts
const secrets = [aSecret()]
const url = 'https://example.com/hook'

const ownDb = () => accountDb(gateway, make.accountId)

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl)
  gateway = await createDbPool(database.gatewayUrl)
  db = await createDbPool(database.schedulerUrl)
  make = await createFactory(admin)
  attempts = await createAttempts(database.schedulerUrl, make)
})
beforeEach(() => admin.query(sql.unsafe`truncate webhook_endpoints, jobs, batches, events, outbox cascade`))
after(async () => {
  await attempts.close()
  await Promise.all([gateway.end(), db.end(), admin.end()])
  await database.drop()
})

test('an event becomes a delivery for each enabled endpoint of its project that wants it, with what the job is', async () => {
  const all = await anEndpoint(admin, make, { url, secrets })
  const some = await anEndpoint(admin, make, { url, secrets, events: ['job.failed', 'batch.completed'] })
  await anEndpoint(admin, make, { url, secrets, enabled: false })
  const other = newId('project')
  await admin.query(sql.unsafe`insert into projects (id, account_id, slug, name) values (${other}, ${make.accountId}, 'other', 'other')`)
  await anEndpoint(admin, { accountId: make.accountId, projectId: other }, { url, secrets })
  const batchId = await make.batch({ size: 1 })
  const jobId = await make.job({ batchId, batchIndex: 0 })
  await admin.query(sql.unsafe`update jobs set name = 'n', labels = '{"a": "b"}'`)
  await attempts.finish(await attempts.assign(jobId))
  const [ended, completed, told, ...more] = await deliveriesOf(admin)
  assert.deepEqual(more, [])
  assert.deepEqual([ended?.endpoint_id, ended?.type, ended?.subject, ended?.job_id], [all, 'job.succeeded', jobId, jobId])
  const { state, cause, exitCode, ...data } = ended?.data ?? {}
  assert.deepEqual([state, cause, exitCode], ['succeeded', 'exit', 0])
  assert.deepEqual(
    { jobId: data.jobId, batchId: data.batchId, project: data.project, name: data.name, labels: data.labels, batchIndex: data.batchIndex },
    { jobId, batchId, project: 'default', name: 'n', labels: { a: 'b' }, batchIndex: 0 },
  )
  assert.deepEqual([completed?.type, completed?.subject, completed?.job_id], ['batch.completed', batchId, null])
  assert.deepEqual(new Set([completed?.endpoint_id, told?.endpoint_id]), new Set([all, some]))
})

test('the address of a job hears of its end through the endpoint of kind jobs, when there is one that is enabled', async () => {
  const jobId = await make.job()
  await admin.query(sql.unsafe`update jobs set spec = spec || '{"webhook": {"url": "https://example.com/mine"}}' where id = ${jobId}`)
  const without = await make.job()
  const ends = ['job.started', 'job.succeeded', 'job.failed', 'job.cancelled']
  await tell(ownDb(), make, jobId, ends)
  assert.deepEqual(await deliveriesOf(admin), [], 'the project has none')
  const endpoint = await anEndpoint(admin, make, { url: null, secrets, events: [] })
  await tell(ownDb(), make, jobId, ends)
  await tell(ownDb(), make, without, ends)
  const found = await deliveriesOf(admin)
  assert.deepEqual(
    found.map((one) => [one.endpoint_id, one.type, one.url, one.job_id]),
    ends.slice(1).map((type) => [endpoint, type, 'https://example.com/mine', jobId]),
  )
  await admin.query(sql.unsafe`update webhook_endpoints set enabled = false, disabled_reason = 'user', disabled_at = now()`)
  await tell(ownDb(), make, jobId, ends)
  assert.equal((await deliveriesOf(admin)).length, 3)
})

test('many events in one statement keep their order', async () => {
  await anEndpoint(admin, make, { url, secrets })
  const jobIds = await Promise.all(Array.from({ length: 50 }, () => make.job()))
  const events = jobIds.map((jobId) => ({ accountId: make.accountId, projectId: make.projectId, batchId: null, jobId, type: 'job.cancelled', data: {} }))
  await db.transaction((tx) => recordEvents(tx, events))
  assert.deepEqual(
    (await deliveriesOf(admin)).map((one) => one.job_id),
    jobIds,
  )
})

test('an endpoint that is deleted meanwhile does not undo the change of state', async () => {
  const endpoint = await anEndpoint(admin, make, { url, secrets })
  const jobId = await make.job()
  const locked = Promise.withResolvers<void>()
  const commit = Promise.withResolvers<void>()
  const deletion = admin.transaction(async (tx) => {
    await tx.query(sql.unsafe`delete from webhook_endpoints where id = ${endpoint}`)
    locked.resolve()
    await commit.promise
  })
  await locked.promise
  const told = tell(db, make, jobId, ['job.started'])
  // It waits for the deletion, or comes after it.
  commit.resolve()
  await deletion
  await told
  assert.deepEqual(await make.eventTypes(jobId), ['job.started'])
  assert.deepEqual(await deliveriesOf(admin), [])
})

test('deliveries go with their job, which stays while one is pending; lone ones by their own time', async () => {
  const endpoint = await anEndpoint(admin, make, { url, secrets })
  const step = (name: string) => RETENTION_STEPS.find((one) => one.name === name)?.run(db, 200)
  const batchId = await make.batch({ size: 1 })
  const jobId = await make.job({ batchId, batchIndex: 0 })
  await attempts.finish(await attempts.assign(jobId))
  await admin.query(
    sql.unsafe`insert into webhook_deliveries (endpoint_id, account_id, project_id, subject, type, data) values (${endpoint}, ${make.accountId}, ${make.projectId}, ${endpoint}, 'webhook.ping', '{}')`,
  )
  await admin.query(sql.unsafe`delete from outbox`)
  await admin.query(sql.unsafe`update jobs set finished_at = now() - interval '91 days'`)
  await admin.query(sql.unsafe`update batches set finished_at = now() - interval '91 days'`)
  assert.deepEqual([await step('jobs'), await step('batches'), await step('webhooks')], [0, 0, 0])
  await admin.query(
    sql.unsafe`update webhook_deliveries set state = 'delivered', next_try_at = null, finished_at = now() - interval '91 days' where job_id is not null`,
  )
  await admin.query(sql.unsafe`insert into webhook_tries (delivery_id, number, at, duration_ms) select id, 1, now(), 1 from webhook_deliveries`)
  assert.deepEqual([await step('jobs'), await step('batches'), await step('webhooks')], [1, 0, 0])
  await admin.query(sql.unsafe`update webhook_deliveries set state = 'failed', next_try_at = null, finished_at = now() - interval '91 days'`)
  assert.deepEqual([await step('batches'), await step('webhooks')], [1, 1])
  assert.deepEqual(await deliveriesOf(admin), [])
})
