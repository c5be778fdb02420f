import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import { sql } from 'slonik'
import type { Spec } from '#core/job/spec.ts'
import { sleep, withDeadline } from '#core/service/time.ts'
import { type ClaimedJob, type ClaimStore, createClaimStore } from '#store/claims.ts'
import { readOutbox, type StoredEvent } from '#store/events.ts'
import { nextHoldDueMs, releaseDueHolds } from '#store/holds.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createClaims } from '../../../scheduler/claims.ts'
import { createReports, type Reports } from '../../../scheduler/reports.ts'
import { aFinishedReport } from '../../harness/attempts.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'

const log = pino({ level: 'silent' })
let database: TestDatabase
let admin: DatabasePool
let db: DatabasePool
let store: ClaimStore
let reports: Reports
let make: Factory
let woken = 0

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl)
  db = await createDbPool(database.schedulerUrl)
  store = createClaimStore(database.schedulerUrl)
  reports = createReports(db, log, (jobs) => {
    woken += jobs
  })
  make = await createFactory(admin)
})
beforeEach(async () => {
  await admin.query(sql.unsafe`truncate jobs, nodes, batches, outbox cascade`)
  woken = 0
})
after(async () => {
  await store.close()
  await db.end()
  await admin.end()
  await database.drop()
})

async function assign(spec: Partial<Spec> = {}): Promise<{ node: string; job: ClaimedJob }> {
  await make.job({ spec })
  return claimOne()
}

async function claimOne(): Promise<{ node: string; job: ClaimedJob }> {
  const node = await make.node()
  const [job] = await createClaims(store, log).claim(node, { slots: 1, memoryBytes: 2 ** 30 })
  assert.ok(job)
  return { node, job }
}

/** So many events that are to be relayed. None is while an older transaction is open anywhere on the server: Postgres itself may have one for a moment. */
async function outbox(count: number): Promise<readonly StoredEvent[]> {
  return withDeadline('the outbox', 30_000, async (signal) => {
    for (;;) {
      const events = await readOutbox(db, 100)
      if (events.length >= count) return events
      await sleep(20, signal)
    }
  })
}

test('a job goes through its steps to success, each step an event', async () => {
  const { node, job } = await assign()
  for (const state of ['preparing', 'running', 'finishing'] as const) {
    const progress = { kind: 'progress' as const, attemptId: job.attemptId, leaseToken: job.leaseToken, state, imageDigest: null }
    assert.deepEqual(await reports.report(node, progress), { status: 'ok' })
    assert.equal((await make.jobState(job.jobId)).reason, `${state} on ${node}`)
  }
  const artifacts = [{ path: 'out/a.txt', sizeBytes: 3, sha256: 'a'.repeat(64), executable: false }]
  assert.deepEqual(await reports.report(node, aFinishedReport(job, { artifacts })), { status: 'ok' })
  const state = await make.jobState(job.jobId)
  assert.deepEqual([state.state, state.cause, state.exit_code, state.reason], ['succeeded', 'exit', 0, null])
  assert.deepEqual(await make.eventTypes(job.jobId), ['job.assigned', 'job.started', 'job.succeeded'])
  const relayed = await outbox(3)
  assert.deepEqual(
    relayed.map((event) => event.type),
    ['job.assigned', 'job.started', 'job.succeeded'],
  )
})

test('the same result twice is taken once', async () => {
  const { node, job } = await assign()
  assert.deepEqual(await reports.report(node, aFinishedReport(job, { exitCode: 3 })), { status: 'ok' })
  assert.deepEqual(await reports.report(node, aFinishedReport(job, { exitCode: 3 })), { status: 'ok' })
  assert.deepEqual(await make.eventTypes(job.jobId), ['job.assigned', 'job.failed'])
})

test('a report with text that Postgres cannot hold is taken all the same', async () => {
  const { node, job } = await assign()
  const artifacts = [{ path: 'a\u0000b', sizeBytes: 1, sha256: 'a'.repeat(64), executable: false }]
  assert.deepEqual(await reports.report(node, aFinishedReport(job, { exitCode: 1, message: 'nul \u0000 and half \ud800', warnings: ['\u0000'], artifacts })), {
    status: 'ok',
  })
  assert.equal((await make.jobState(job.jobId)).state, 'failed')
})

test('a report with a foreign lease or from a foreign node changes nothing', async () => {
  const { node, job } = await assign()
  assert.deepEqual(await reports.report(node, aFinishedReport(job, { leaseToken: 'forged' })), { status: 'stale' })
  assert.deepEqual(await reports.report(await make.node(), aFinishedReport(job)), { status: 'stale' })
  assert.deepEqual(await reports.report(node, aFinishedReport(job, { attemptId: 'att_none' })), { status: 'stale' })
  assert.equal((await make.jobState(job.jobId)).state, 'running')
})

test('a failing job is retried after its backoff, and fails when the retries are spent', async () => {
  const { node, job } = await assign({ retries: 1, backoff: { initialSeconds: 0.05 } })
  await reports.report(node, aFinishedReport(job, { exitCode: 1 }))
  const held = await make.jobState(job.jobId)
  assert.deepEqual([held.state, held.hold, held.retries_used], ['held', 'backoff', 1])
  assert.match(held.reason ?? '', /retry 1 of 1/)
  assert.ok(((await nextHoldDueMs(db)) ?? -1) <= 50)
  await admin.query(sql.unsafe`update jobs set hold_until = now() where id = ${job.jobId}`)
  assert.equal(await releaseDueHolds(db), 1)
  const again = await claimOne()
  assert.equal(again.job.attemptNumber, 2)
  await reports.report(again.node, aFinishedReport(again.job, { exitCode: 1 }))
  assert.equal((await make.jobState(job.jobId)).state, 'failed')
})

test('retryOn decides which exit codes are retried', async () => {
  const { node, job } = await assign({ retries: 3, retryOn: { exitCodes: [75] } })
  await reports.report(node, aFinishedReport(job, { exitCode: 2 }))
  assert.equal((await make.jobState(job.jobId)).state, 'failed')
})

test('an interrupted attempt goes back to the queue and spends no retry', async () => {
  const { node, job } = await assign()
  await reports.report(node, aFinishedReport(job, { cause: 'interrupted', exitCode: null }))
  const state = await make.jobState(job.jobId)
  assert.deepEqual([state.state, state.retries_used, state.infra_retries_used], ['queued', 0, 0])
  assert.equal(woken, 1)
})

test('a cancel that came first wins over the exit code 0', async () => {
  const { node, job } = await assign()
  await admin.query(sql.unsafe`update jobs set cancel_requested_at = now() where id = ${job.jobId}`)
  await reports.report(node, aFinishedReport(job))
  const state = await make.jobState(job.jobId)
  assert.deepEqual([state.state, state.cause], ['cancelled', 'cancelled'])
})

test('each end of a job lets the next held one of its batch in, never more than parallel', async () => {
  const batch = await make.batch({ size: 4, parallel: 2 })
  for (let i = 0; i < 4; i++) await make.job({ batchId: batch, batchIndex: i, ...(i < 2 ? {} : { held: 'batch' as const }) })
  const first = await claimOne()
  await claimOne()
  assert.equal((await createClaims(store, log).claim(await make.node(), { slots: 2, memoryBytes: 2 ** 30 })).length, 0)
  await reports.report(first.node, aFinishedReport(first.job))
  assert.equal(woken, 1)
  const third = await claimOne()
  assert.equal(third.job.batchIndex, 2)
  assert.equal(third.job.batchSize, 4)
})

test('a batch is complete when its last job ends, with the counts in its event', async () => {
  const batch = await make.batch({ size: 2 })
  for (let i = 0; i < 2; i++) await make.job({ batchId: batch, batchIndex: i })
  const [one, two] = [await claimOne(), await claimOne()]
  await reports.report(one.node, aFinishedReport(one.job))
  await reports.report(two.node, aFinishedReport(two.job, { exitCode: 9 }))
  const event = (await outbox(5)).find((entry) => entry.type === 'batch.completed')
  assert.deepEqual(event?.data, { size: 2, counts: { succeeded: 1, failed: 1 } })
})

test('maxFailures cancels what no node has yet', async () => {
  const batch = await make.batch({ size: 3, parallel: 1, maxFailures: 1 })
  const ids = [
    await make.job({ batchId: batch, batchIndex: 0 }),
    await make.job({ batchId: batch, batchIndex: 1, held: 'batch' }),
    await make.job({ batchId: batch, batchIndex: 2, held: 'batch' }),
  ]
  const first = await claimOne()
  await reports.report(first.node, aFinishedReport(first.job, { exitCode: 1 }))
  const states = await Promise.all(ids.map(async (id) => (await make.jobState(id)).state))
  assert.deepEqual(states, ['failed', 'cancelled', 'cancelled'])
})
