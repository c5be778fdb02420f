import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import { sql } from 'slonik'
import type { FinishedReport, ProgressReport } from '#bus/messages/report.ts'
import { listArtifacts } from '#store/artifacts.ts'
import { type ClaimedJob, type ClaimStore, createClaimStore } from '#store/claims.ts'
import { readAttempts } from '#store/job-query.ts'
import { createObjects, type Objects } from '#store/objects.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createClaims } from '../../../scheduler/claims.ts'
import { endAttempt, silentResult } from '../../../scheduler/finish.ts'
import { createReports, type Reports } from '../../../scheduler/reports.ts'
import { answerUploads } from '../../../scheduler/uploads.ts'
import { aFinishedReport } from '../../harness/attempts.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'
import { testServices } from '../../harness/services.ts'

const log = pino({ level: 'silent' })
const ARTIFACT = { path: 'a.txt', sizeBytes: 1, sha256: 'a'.repeat(64), executable: false }
let database: TestDatabase
let admin: DatabasePool
let db: DatabasePool
let store: ClaimStore
let objects: Objects
let reports: Reports
let make: Factory

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl)
  db = await createDbPool(database.schedulerUrl)
  store = createClaimStore(database.schedulerUrl)
  const { s3 } = testServices()
  objects = createObjects({ ...s3, presignUrl: s3.url })
  reports = createReports(db, log, () => undefined)
  make = await createFactory(admin)
})
beforeEach(async () => {
  await admin.query(sql.unsafe`truncate jobs, nodes, batches, outbox cascade`)
})
after(async () => {
  objects.close()
  await store.close()
  await db.end()
  await admin.end()
  await database.drop()
})

async function assign(): Promise<ClaimedJob> {
  const node = await make.node()
  await make.job()
  const [job] = await createClaims(store, log).claim(node, { slots: 1, memoryBytes: 2 ** 30 })
  assert.ok(job)
  return job
}

const lose = (job: ClaimedJob) =>
  db.transaction((tx) => endAttempt(tx, log, job.nodeId, job.attemptId, job.leaseToken, silentResult('lost', 'its node was not heard any more')))

const finished = (job: ClaimedJob, change: Partial<FinishedReport> = {}) =>
  aFinishedReport(job, { startedAtMs: 1_700_000_000_000, logSeq: 3, logArchived: true, ...change })

const progress = (job: ClaimedJob, state: ProgressReport['state']): ProgressReport => ({
  kind: 'progress',
  attemptId: job.attemptId,
  leaseToken: job.leaseToken,
  state,
  imageDigest: null,
})
const uploads = (job: ClaimedJob, files: { path: string; sizeBytes: number; sha256: string }[], wantLog: boolean) =>
  answerUploads(db, objects, job.nodeId, { attemptId: job.attemptId, leaseToken: job.leaseToken, files, log: wantLog }, 60)

test('after its lease is over a node may say nothing: started, uploads, artifacts and end change nothing', async () => {
  const job = await assign()
  await lose(job)
  assert.equal((await reports.report(job.nodeId, progress(job, 'preparing'))).status, 'stale')
  assert.equal((await reports.report(job.nodeId, progress(job, 'running'))).status, 'stale')
  assert.equal((await uploads(job, [{ path: 'a.txt', sizeBytes: 1, sha256: ARTIFACT.sha256 }], true)).status, 'stale')
  assert.equal((await reports.report(job.nodeId, finished(job, { artifacts: [ARTIFACT] }))).status, 'stale')
  assert.equal((await reports.report(job.nodeId, { kind: 'log', attemptId: job.attemptId, leaseToken: job.leaseToken, logSeq: 3 })).status, 'stale')
  const state = await make.jobState(job.jobId)
  assert.deepEqual([state.state, state.exit_code, state.infra_retries_used, state.retries_used], ['queued', null, 1, 0])
  assert.deepEqual((await listArtifacts(admin, job.jobId, { limit: 10 })).items, [])
})

test('the late result of a lost attempt is kept in its history, the first one of several', async () => {
  const job = await assign()
  await lose(job)
  await reports.report(job.nodeId, finished(job, { exitCode: 3 }))
  await reports.report(job.nodeId, finished(job, { exitCode: 4 }))
  const [attempt] = await readAttempts(admin, job.jobId)
  assert.equal(attempt?.state, 'lost')
  assert.deepEqual([attempt?.lateResult?.cause, attempt?.lateResult?.exitCode], ['exit', 3])
  const stranger = await make.node()
  await reports.report(stranger, finished(job))
  assert.equal((await readAttempts(admin, job.jobId))[0]?.lateResult?.exitCode, 3, 'a foreign node is not heard')
})

test('who asks before the start is told of a cancel', async () => {
  const job = await assign()
  await admin.query(sql.unsafe`update jobs set cancel_requested_at = now() where id = ${job.jobId}`)
  assert.equal((await reports.report(job.nodeId, progress(job, 'preparing'))).status, 'cancel')
})

test('when the word that it runs was lost, the end tells it too: started comes once, before the end', async () => {
  const heard = await assign()
  await reports.report(heard.nodeId, progress(heard, 'running'))
  await reports.report(heard.nodeId, progress(heard, 'running'))
  await reports.report(heard.nodeId, finished(heard))
  const unheard = await assign()
  await reports.report(unheard.nodeId, finished(unheard))
  await reports.report(unheard.nodeId, progress(unheard, 'running'))
  for (const job of [heard, unheard]) assert.deepEqual(await make.eventTypes(job.jobId), ['job.assigned', 'job.started', 'job.succeeded'])
  const never = await assign()
  await reports.report(never.nodeId, finished(never, { cause: 'image', exitCode: null, startedAtMs: null }))
  assert.deepEqual(await make.eventTypes(never.jobId), ['job.assigned', 'job.failed'])
})

test('a clock of a node that is far off does not keep its result from being taken', async () => {
  const job = await assign()
  assert.equal((await reports.report(job.nodeId, finished(job, { startedAtMs: 9e15 }))).status, 'ok')
  assert.equal((await make.jobState(job.jobId)).state, 'succeeded')
})

test('a log that could not be archived at the end may be archived later, once, and nothing else', async () => {
  const job = await assign()
  await reports.report(job.nodeId, finished(job, { logArchived: false }))
  assert.equal((await uploads(job, [{ path: 'a.txt', sizeBytes: 1, sha256: ARTIFACT.sha256 }], false)).status, 'stale')
  const answer = await uploads(job, [], true)
  assert.equal(answer.status, 'ok')
  assert.ok(answer.log)
  assert.equal((await reports.report(job.nodeId, { kind: 'log', attemptId: job.attemptId, leaseToken: job.leaseToken, logSeq: 3 })).status, 'ok')
  assert.equal((await uploads(job, [], true)).status, 'stale')
})
