import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { after, before, beforeEach, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { createLog } from '#core/service/log.ts'
import { createObjects, logKey, type Objects } from '#store/objects.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { changeProject } from '#store/projects.ts'
import { auditStep, RETENTION_STEPS } from '#store/retention.ts'
import { row } from '#store/row.ts'
import { accountDb } from '#store/tenant.ts'
import { collectObjects } from '../../../scheduler/object-collector.ts'
import { createRetention } from '../../../scheduler/retention.ts'
import { answerUploads } from '../../../scheduler/uploads.ts'
import { type Attempts, createAttempts } from '../../harness/attempts.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'
import { testServices } from '../../harness/services.ts'

const ActionRow = row(Type.Object({ action: Type.String() }))
const CountRow = row(Type.Object({ count: Type.Number() }))
const log = createLog('scheduler', 'silent')

let database: TestDatabase
let admin: DatabasePool
let gateway: DatabasePool
let db: DatabasePool
let objects: Objects
let make: Factory
let attempts: Attempts

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl)
  gateway = await createDbPool(database.gatewayUrl)
  db = await createDbPool(database.schedulerUrl)
  const { s3 } = testServices()
  objects = createObjects({ ...s3, presignUrl: s3.url, bucket: `retention-${randomBytes(4).toString('hex')}` })
  await objects.ensureBucket()
  make = await createFactory(admin)
  attempts = await createAttempts(database.schedulerUrl, make)
})
beforeEach(async () => {
  await admin.query(sql.unsafe`truncate jobs, nodes, batches, outbox, pending_objects, events cascade`)
  await changeProject(admin, make.projectId, { retention: { jobsDays: 90, logsDays: 30, artifactsDays: 30 } })
})
after(async () => {
  objects.close()
  await attempts.close()
  await Promise.all([gateway.end(), db.end(), admin.end()])
  await database.drop()
})

const keys = async () => {
  const found: string[] = []
  for await (const object of objects.list(AbortSignal.timeout(60_000))) found.push(object.key)
  return found.sort()
}

async function put({ url, headers }: { url: string; headers: Record<string, string> }, body: string): Promise<void> {
  assert.equal((await fetch(url, { method: 'PUT', headers, body })).status, 200)
}

/** A job whose node has uploaded an output and its log; `report` says whether it lived to tell. */
async function work(report: boolean): Promise<{ jobId: string; outputKey: string; put: { url: string; headers: Record<string, string> } }> {
  const jobId = await make.job()
  const job = await attempts.assign(jobId)
  const files = [{ path: 'a.txt', sizeBytes: 5, sha256: 'a'.repeat(64) }]
  const answer = await answerUploads(db, objects, job.nodeId, { attemptId: job.attemptId, leaseToken: job.leaseToken, files, log: true }, 60)
  const [output] = answer.files
  assert.ok(output && answer.log)
  await put(output, 'hello')
  await put(answer.log, 'log')
  const artifacts = [{ path: 'a.txt', sizeBytes: 5, sha256: 'a'.repeat(64), executable: false }]
  if (report) await attempts.finish(job, { artifacts, logSeq: 1, logArchived: true })
  else await attempts.finish(job, { cause: 'lost', exitCode: null, transient: true })
  const [outputKey = ''] = (await keys()).filter((key) => key.startsWith('artifacts/') && key.includes(job.attemptId))
  return { jobId, outputKey, put: output }
}

const step = (name: string) => RETENTION_STEPS.find((one) => one.name === name)?.run(db, 200)
/** As if so many days had passed since everything ended; what was relayed is. */
async function passDays(days: number): Promise<void> {
  await admin.query(sql.unsafe`delete from outbox`)
  await admin.query(sql.unsafe`update jobs set finished_at = finished_at - make_interval(days => ${days}) where finished_at is not null`)
  await admin.query(sql.unsafe`update batches set finished_at = finished_at - make_interval(days => ${days}) where finished_at is not null`)
}

test('artifacts, logs and jobs go each at their own time, by the days of their project', async () => {
  const { jobId } = await work(true)
  await make.job()
  await changeProject(accountDb(gateway, make.accountId), make.projectId, { retention: { logsDays: 2, artifactsDays: 5, jobsDays: 9 } })
  await passDays(3)
  assert.deepEqual([await step('artifacts'), await step('logs'), await step('jobs')], [0, 1, 0])
  await passDays(3)
  assert.deepEqual([await step('artifacts'), await step('logs'), await step('jobs')], [1, 0, 0])
  assert.deepEqual([await step('artifacts'), await step('logs')], [0, 0], 'once')
  await collectObjects(db, objects)
  assert.deepEqual(await keys(), [])
  await passDays(4)
  assert.equal(await step('jobs'), 1)
  for (const table of ['artifacts', 'attempts', 'events'])
    assert.equal(await admin.exists(sql.unsafe`select 1 from ${sql.identifier([table])} where job_id = ${jobId}`), false, table)
  assert.equal(await admin.exists(sql.unsafe`select 1 from jobs`), true, 'what has not ended stays')
})

test('a job goes with what it still has, and only when its events were relayed; its batch goes after it', async () => {
  const batchId = await make.batch({ size: 1 })
  const jobId = await make.job({ batchId, batchIndex: 0 })
  const job = await attempts.assign(jobId)
  const place = { accountId: make.accountId, projectId: make.projectId, jobId }
  const answer = await answerUploads(db, objects, job.nodeId, { attemptId: job.attemptId, leaseToken: job.leaseToken, files: [], log: true }, 60)
  assert.ok(answer.log)
  await put(answer.log, 'log')
  await attempts.finish(job, { logSeq: 1, logArchived: true })
  assert.deepEqual(await keys(), [logKey(place, job.attemptId)])
  await admin.query(sql.unsafe`update jobs set finished_at = now() - interval '91 days'`)
  await admin.query(sql.unsafe`update batches set finished_at = now() - interval '91 days'`)
  assert.equal(await step('jobs'), 0, 'its events wait in the outbox')
  await admin.query(sql.unsafe`delete from outbox`)
  assert.deepEqual([await step('batches'), await step('jobs'), await step('batches')], [0, 1, 1])
  await collectObjects(db, objects)
  assert.deepEqual(await keys(), [])
})

test('a job of a batch that has not ended stays: the batch is counted by its jobs', async () => {
  const batchId = await make.batch({ size: 2 })
  const jobId = await make.job({ batchId, batchIndex: 0 })
  await make.job({ batchId, batchIndex: 1 })
  await attempts.finish(await attempts.assign(jobId))
  await passDays(91)
  assert.equal(await step('jobs'), 0)
})

test('what was done goes from the audit log when its days are over, the oldest first, so many at a time; nothing else can take it away', async () => {
  const insert = (days: number, rows: number) =>
    admin.query(sql.unsafe`
      insert into audit_log (account_id, actor_kind, actor_id, actor_name, action, at)
      select ${make.accountId}, 'key', 'key_x', 'x', ${`done ${days} days ago`}, now() - make_interval(days => ${days}) from generate_series(1, ${rows}::int)`)
  for (const [days, rows] of [
    [900, 250],
    [401, 201],
    [399, 3],
    [0, 1],
  ] as const)
    await insert(days, rows)
  const { run } = auditStep(400)
  assert.deepEqual([await run(db, 200), await run(db, 200), await run(db, 200), await run(db, 200)], [200, 200, 51, 0])
  const left = await admin.anyFirst(sql.type(ActionRow)`select action from audit_log order by id`)
  assert.deepEqual([...left], [...Array(3).fill('done 399 days ago'), 'done 0 days ago'])
  await assert.rejects(admin.query(sql.unsafe`delete from audit_log`), /append-only/)
  await assert.rejects(auditStep(29).run(db, 200), /30 days at least/)
})

test('the loop of the leader takes it away, as much as there is, and no other one does', async () => {
  // Before all others, as they would be by their age.
  await admin.query(sql.unsafe`
    insert into audit_log (id, account_id, actor_kind, actor_id, actor_name, action, at) overriding system value
    select -n, ${make.accountId}, 'key', 'key_x', 'x', 'long ago', now() - interval '61 days' from generate_series(1, 450) as n`)
  const old = () => admin.oneFirst(sql.type(CountRow)`select count(*)::int as count from audit_log where action = 'long ago'`)
  let asked = 0
  const isLeader = () => {
    asked++
    return false
  }
  const follower = createRetention(db, log, isLeader, 60)
  const leader = createRetention(db, log, () => true, 60)
  try {
    await follower.start()
    while (asked <= RETENTION_STEPS.length) assert.equal(await old(), 450)
    await follower.stop()
    assert.equal(await old(), 450)
    await leader.start()
    const fromMs = performance.now()
    while ((await old()) > 0) assert.ok(performance.now() - fromMs < 10_000, 'it is still there')
  } finally {
    await Promise.all([follower.stop(), leader.stop()])
  }
})
