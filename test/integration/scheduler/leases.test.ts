import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import { sql } from 'slonik'
import { type ClaimStore, createClaimStore } from '#store/claims.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createClaims } from '../../../scheduler/claims.ts'
import { createLeaseReaper, type LeaseReaperDeps } from '../../../scheduler/reaper/leases.ts'
import { answerRenewal } from '../../../scheduler/renewals.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'

const log = pino({ level: 'silent' })
let database: TestDatabase
let admin: DatabasePool
let db: DatabasePool
let store: ClaimStore
let make: Factory

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl)
  db = await createDbPool(database.schedulerUrl)
  store = createClaimStore(database.schedulerUrl)
  make = await createFactory(admin)
})
beforeEach(async () => {
  await admin.query(sql.unsafe`truncate jobs, nodes, batches cascade`)
})
after(async () => {
  await store.close()
  await db.end()
  await admin.end()
  await database.drop()
})

async function assign() {
  const node = await make.node()
  await make.job()
  const [job] = await createClaims(store, log).claim(node, { slots: 1, memoryBytes: 2 ** 30 })
  assert.ok(job)
  return { node, job }
}

/** A reaper of a well bus with a lease of 10 s, that knows no more than Postgres. */
const aReaper = (change: Partial<LeaseReaperDeps>) =>
  createLeaseReaper({
    db,
    log,
    leaseMs: 10_000,
    isLeader: () => true,
    busWellForMs: () => 60_000,
    silentMs: () => undefined,
    queued: () => undefined,
    ...change,
  })

test('a node silent past its lease is lost and its work is queued again, for no retry', async () => {
  const { node, job } = await assign()
  await admin.query(sql.unsafe`update nodes set last_seen_at = now() - interval '1 minute'`)
  const queued = Promise.withResolvers<number>()
  const reaper = aReaper({ leaseMs: 0, queued: queued.resolve })
  await reaper.start()
  assert.equal(await queued.promise, 1)
  await reaper.stop()
  const state = await make.jobState(job.jobId)
  assert.deepEqual([state.state, state.infra_retries_used, state.retries_used], ['queued', 1, 0])
  // The node comes back: its lease is over, it may work again.
  const reply = await answerRenewal(db, log, node, { attempts: [{ attemptId: job.attemptId, leaseToken: job.leaseToken }], containers: [] }, () => undefined)
  assert.deepEqual(reply, { stale: [job.attemptId], cancel: [], drain: false })
})

test('nodes that were silent for long do not keep the work of one that died now', async () => {
  const { node, job } = await assign()
  for (let i = 0; i < 5; i++) await make.node({ state: 'draining' })
  await admin.query(sql.unsafe`update nodes set last_seen_at = now() - case when id = ${node} then interval '20 seconds' else interval '1 day' end`)
  const queued = Promise.withResolvers<number>()
  // The node that died is one of one: too few to blame the bus for.
  const reaper = aReaper({ queued: queued.resolve })
  await reaper.start()
  assert.equal(await queued.promise, 1)
  await reaper.stop()
  assert.equal((await make.jobState(job.jobId)).state, 'queued')
})

test('when most nodes fall silent at once none is reaped', async () => {
  const { job } = await assign()
  for (let i = 0; i < 3; i++) await make.node()
  await admin.query(sql.unsafe`update nodes set last_seen_at = now() - interval '20 seconds'`)
  const told = Promise.withResolvers<void>()
  const watched = pino({ level: 'error' }, { write: (line: string) => line.includes('holding fire') && told.resolve() })
  const reaper = aReaper({ log: watched })
  await reaper.start()
  await told.promise
  await reaper.stop()
  assert.equal((await make.jobState(job.jobId)).state, 'running')
})

for (const [what, wellForMs, held] of [
  ['cut off from the bus', 0, true],
  ['back on the bus for less than a lease', 9_999, true],
  ['back on the bus for a whole lease', 10_000, false],
] as const) {
  test(`a scheduler that is ${what} takes ${held ? 'no node' : 'a silent node'} for lost`, async () => {
    const { job } = await assign()
    await admin.query(sql.unsafe`update nodes set last_seen_at = now() - interval '20 seconds'`)
    const told = Promise.withResolvers<boolean>()
    const reaper = aReaper({ busWellForMs: () => wellForMs, holding: told.resolve })
    await reaper.start()
    assert.equal(await told.promise, held)
    // Waits for the round.
    await reaper.stop()
    assert.equal((await make.jobState(job.jobId)).state, held ? 'running' : 'queued')
  })
}

test('a renewal tells which leases are over and which to cancel', async () => {
  const { node, job } = await assign()
  const lease = { attemptId: job.attemptId, leaseToken: job.leaseToken }
  assert.deepEqual(await answerRenewal(db, log, node, { attempts: [lease], containers: [] }, () => undefined), { stale: [], cancel: [], drain: false })
  assert.deepEqual((await answerRenewal(db, log, node, { attempts: [{ ...lease, leaseToken: 'forged' }], containers: [] }, () => undefined)).stale, [
    job.attemptId,
  ])
  await admin.query(sql.unsafe`update jobs set cancel_requested_at = now()`)
  assert.deepEqual(await answerRenewal(db, log, node, { attempts: [lease], containers: [] }, () => undefined), {
    stale: [],
    cancel: [job.attemptId],
    drain: false,
  })
})

test('an assignment that never reached its node is taken back', async () => {
  const { node, job } = await assign()
  let queued = 0
  const count = (jobs: number) => {
    queued += jobs
  }
  await answerRenewal(db, log, node, { attempts: [], containers: [] }, count)
  assert.equal((await make.jobState(job.jobId)).state, 'running', 'a young lease may still be on its way')
  await admin.query(sql.unsafe`update attempts set assigned_at = now() - interval '20 seconds'`)
  await answerRenewal(db, log, node, { attempts: [], containers: [] }, count)
  assert.equal((await make.jobState(job.jobId)).state, 'queued')
  assert.equal(queued, 1)
})
