import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import { sql } from 'slonik'
import { type ClaimStore, createClaimStore } from '#store/claims.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { type Claims, createClaims } from '../../../scheduler/claims.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'

const GI = 2 ** 30
const log = pino({ level: 'silent' })
let database: TestDatabase
let db: DatabasePool
let store: ClaimStore
let claims: Claims
let make: Factory

before(async () => {
  database = await createTestDatabase()
  db = await createDbPool(database.adminUrl)
  store = createClaimStore(database.schedulerUrl, 4)
  claims = createClaims(store, log)
  make = await createFactory(db)
})
beforeEach(async () => {
  await db.query(sql.unsafe`truncate jobs, nodes, batches cascade`)
})
after(async () => {
  await store.close()
  await db.end()
  await database.drop()
})

test('higher priority first, then age', async () => {
  const node = await make.node({ slots: 3 })
  const old = await make.job()
  await make.job({ spec: { priority: -1 } })
  const urgent = await make.job({ spec: { priority: 5 } })
  const young = await make.job()
  const jobs = await claims.claim(node, { slots: 3, memoryBytes: 4 * GI })
  assert.deepEqual(jobs.map((job) => job.jobId).sort(), [old, urgent, young].sort())
  const one = await claims.claim(await make.node(), { slots: 1, memoryBytes: 4 * GI })
  assert.equal(one.length, 1)
})

test('a claimed job is running, has an attempt with a lease, and an event', async () => {
  const node = await make.node()
  const id = await make.job()
  const [job] = await claims.claim(node, { slots: 1, memoryBytes: GI })
  assert.equal(job?.jobId, id)
  assert.equal(job?.attemptNumber, 1)
  assert.equal(job?.project, 'default')
  assert.deepEqual(job?.spec.command, ['true'])
  assert.ok((job?.leaseToken.length ?? 0) >= 20)
  assert.equal((await make.jobState(id)).state, 'running')
  assert.deepEqual(await make.eventTypes(id), ['job.assigned'])
})

test('forty claims at once from twenty nodes of two schedulers give each job to exactly one', async () => {
  const nodes = await Promise.all(Array.from({ length: 20 }, () => make.node({ slots: 2 })))
  await Promise.all(Array.from({ length: 30 }, () => make.job()))
  const otherStore = createClaimStore(database.schedulerUrl, 4)
  const other = createClaims(otherStore, log)
  const answers = await Promise.all(
    nodes.flatMap((node) => [claims.claim(node, { slots: 1, memoryBytes: 4 * GI }), other.claim(node, { slots: 1, memoryBytes: 4 * GI })]),
  )
  const more = await Promise.all(nodes.map((node) => claims.claim(node, { slots: 2, memoryBytes: 4 * GI })))
  const given = [...answers, ...more].flat()
  assert.equal(given.length, 30)
  assert.equal(new Set(given.map((job) => job.jobId)).size, 30)
  for (const node of nodes) assert.ok(given.filter((job) => job.nodeId === node).length <= 2, 'a node got more than its slots')
  await otherStore.close()
})

test('a node gets no more than its slots, counted from its live leases', async () => {
  const node = await make.node({ slots: 2 })
  for (let i = 0; i < 3; i++) await make.job()
  assert.equal((await claims.claim(node, { slots: 1024, memoryBytes: 400 * GI })).length, 2)
  assert.equal((await claims.claim(node, { slots: 1024, memoryBytes: 400 * GI })).length, 0)
})

test('draining and lost nodes get nothing', async () => {
  await make.job()
  for (const state of ['draining', 'lost', 'gone']) assert.deepEqual(await claims.claim(await make.node({ state }), { slots: 2, memoryBytes: GI }), [])
})

test('a job that is too large for the node is left for another, and does not block those behind it', async () => {
  const node = await make.node({ slots: 2, memoryBytes: GI })
  const large = await make.job({ spec: { resources: { memory: '2Gi' } } })
  const wide = await make.job({ spec: { resources: { cpu: '3' } } })
  const small = await make.job()
  const jobs = await claims.claim(node, { slots: 2, memoryBytes: GI })
  assert.deepEqual(
    jobs.map((job) => job.jobId),
    [small],
  )
  assert.equal((await make.jobState(large)).state, 'queued')
  assert.equal((await make.jobState(wide)).state, 'queued')
})

test('held jobs are not claimed', async () => {
  const batch = await make.batch({ size: 1, parallel: 1 })
  await make.job({ batchId: batch, batchIndex: 0, held: 'batch' })
  assert.deepEqual(await claims.claim(await make.node(), { slots: 2, memoryBytes: GI }), [])
})
