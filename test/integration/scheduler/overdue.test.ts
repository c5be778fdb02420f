import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { pino } from 'pino'
import { sql } from 'slonik'
import { type ClaimStore, createClaimStore } from '#store/claims.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { row } from '#store/row.ts'
import { createClaims } from '../../../scheduler/claims.ts'
import { createOverdueReaper, type OverdueReaperDeps } from '../../../scheduler/reaper/overdue.ts'
import { answerRenewal } from '../../../scheduler/renewals.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'

const log = pino({ level: 'silent' })
/** Of the test's jobs: preparing, running, grace. */
const LIMITS = { prepareTimeoutSeconds: 100, timeoutSeconds: 1000, gracePeriodSeconds: 10 }
const SLACK_SECONDS = 600
const ALL_SECONDS = 1110 + SLACK_SECONDS
const CANCEL_SECONDS = 310

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

/** A job on a node that is heard, assigned and perhaps cancelled so many seconds ago. */
async function assigned({ bought = true, seconds, cancelled }: { bought?: boolean; seconds: number; cancelled?: number }) {
  const node = await make.node(bought ? { ageSeconds: 10 } : {})
  await make.job({ spec: LIMITS })
  const [job] = await createClaims(store, log).claim(node, { slots: 1, memoryBytes: 2 ** 30 })
  assert.ok(job)
  await admin.query(sql.unsafe`update nodes set last_seen_at = now()`)
  await admin.query(sql.unsafe`update attempts set assigned_at = now() - make_interval(secs => ${seconds})`)
  if (cancelled !== undefined) await admin.query(sql.unsafe`update jobs set cancel_requested_at = now() - make_interval(secs => ${cancelled})`)
  return { node, job }
}

/** One round of the reaper. */
async function reap(change: Partial<OverdueReaperDeps> = {}): Promise<number> {
  let ended = 0
  const reaper = createOverdueReaper({
    db,
    log,
    slackSeconds: SLACK_SECONDS,
    isLeader: () => true,
    busWellForMs: () => Number.POSITIVE_INFINITY,
    queued: () => undefined,
    ended: () => void ended++,
    ...change,
  })
  await reaper.start()
  await reaper.stop()
  return ended
}

const nodeState = (id: string) =>
  admin.one(sql.type(row(Type.Object({ state: Type.String(), drain: Type.Boolean() })))`
    select state, drain_requested_at is not null and not drain_planned as drain from nodes where id = ${id}`)

test('a node that is heard and never ends an attempt loses it, and takes no more', async () => {
  const { node, job } = await assigned({ seconds: ALL_SECONDS + 5 })
  const lease = { attemptId: job.attemptId, leaseToken: job.leaseToken }
  assert.deepEqual(await answerRenewal(db, log, node, { attempts: [lease], containers: [] }, () => undefined), { stale: [], cancel: [], drain: false })
  assert.equal(await reap(), 1)
  const state = await make.jobState(job.jobId)
  assert.deepEqual([state.state, state.infra_retries_used, state.retries_used], ['queued', 1, 0])
  assert.deepEqual(await nodeState(node), { state: 'draining', drain: true })
  const reply = await answerRenewal(db, log, node, { attempts: [lease], containers: [] }, () => undefined)
  assert.deepEqual(reply, { stale: [job.attemptId], cancel: [], drain: true })
  assert.deepEqual(await createClaims(store, log).claim(node, { slots: 1, memoryBytes: 2 ** 30 }), [])
  assert.equal(await reap(), 0)
})

test('a cancel that a node does not obey is one all the same', async () => {
  const { job } = await assigned({ seconds: CANCEL_SECONDS + 10, cancelled: CANCEL_SECONDS + 5 })
  assert.equal(await reap(), 1)
  assert.equal((await make.jobState(job.jobId)).state, 'cancelled')
})

test('a node that was set up by hand loses the attempt, and stays', async () => {
  const { node } = await assigned({ bought: false, seconds: ALL_SECONDS + 5 })
  assert.equal(await reap(), 1)
  assert.deepEqual(await nodeState(node), { state: 'ready', drain: false })
})

for (const [what, times, change] of [
  ['within its limits and the slack', { seconds: ALL_SECONDS - 60 }, {}],
  ['cancelled a while ago', { seconds: CANCEL_SECONDS, cancelled: CANCEL_SECONDS - 60 }, {}],
  ['overdue while the bus was not well for long', { seconds: ALL_SECONDS + 5 }, { busWellForMs: () => 299_000 }],
  ['overdue, and somebody else leads', { seconds: ALL_SECONDS + 5 }, { isLeader: () => false }],
] as const) {
  test(`an attempt is left to its node that is ${what}`, async () => {
    const { job } = await assigned(times)
    assert.equal(await reap(change), 0)
    assert.equal((await make.jobState(job.jobId)).state, 'running')
  })
}
