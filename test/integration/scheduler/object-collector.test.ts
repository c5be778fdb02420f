import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import { sql } from 'slonik'
import type { PresignedPut } from '#bus/messages/report.ts'
import { type ClaimedJob, type ClaimStore, createClaimStore } from '#store/claims.ts'
import { artifactKey, createObjects, logKey, type Objects } from '#store/objects.ts'
import { discardObjects } from '#store/pending-objects.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createClaims } from '../../../scheduler/claims.ts'
import { endAttempt, silentResult } from '../../../scheduler/finish.ts'
import { collectObjects, createObjectCollector } from '../../../scheduler/object-collector.ts'
import { createReports } from '../../../scheduler/reports.ts'
import { answerUploads } from '../../../scheduler/uploads.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'
import { testServices } from '../../harness/services.ts'

const log = pino({ level: 'silent' })
const OUTPUT = { path: 'out.txt', sizeBytes: 5, sha256: 'a'.repeat(64) }
let database: TestDatabase
let admin: DatabasePool
let db: DatabasePool
let store: ClaimStore
let objects: Objects
let make: Factory

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl)
  db = await createDbPool(database.schedulerUrl)
  store = createClaimStore(database.schedulerUrl)
  const { s3 } = testServices()
  objects = createObjects({ ...s3, presignUrl: s3.url })
  await objects.ensureBucket()
  make = await createFactory(admin)
})
beforeEach(async () => {
  await admin.query(sql.unsafe`truncate jobs, nodes, batches, pending_objects cascade`)
})
after(async () => {
  for await (const { key } of objects.list(AbortSignal.timeout(60_000))) if (key.includes(make.accountId)) await objects.delete(key)
  await Promise.all([store.close(), db.end(), admin.end()])
  objects.close()
  await database.drop()
})

async function put({ url, headers }: PresignedPut, body = 'hello'): Promise<number> {
  return (await fetch(url, { method: 'PUT', headers, body })).status
}

/** A job whose node has uploaded its output and its log and has not reported yet. */
async function uploaded() {
  const node = await make.node()
  await make.job()
  const [job] = await createClaims(store, log).claim(node, { slots: 1, memoryBytes: 2 ** 30 })
  assert.ok(job)
  const reply = await answerUploads(db, objects, node, { attemptId: job.attemptId, leaseToken: job.leaseToken, log: true, files: [OUTPUT] }, 600)
  const [file] = reply.files
  assert.ok(file && reply.log)
  for (const address of [file, reply.log]) assert.equal(await put(address), 200)
  const owner = { ...make, jobId: job.jobId }
  return { job, file, log: reply.log, output: artifactKey(owner, job.attemptId, OUTPUT.path), archive: logKey(owner, job.attemptId) }
}

function lose(job: ClaimedJob) {
  return db.transaction((tx) => endAttempt(tx, log, job.nodeId, job.attemptId, job.leaseToken, silentResult('lost', 'not heard any more')))
}

/** What its node says of a job that ended well. */
function report({ nodeId, attemptId, leaseToken }: ClaimedJob, logArchived: boolean) {
  const ended = { cause: 'exit' as const, exitCode: 0, transient: false, message: null, warnings: [], imageDigest: null, startedAtMs: null, finishedAtMs: 0 }
  const artifacts = [{ ...OUTPUT, executable: false }]
  return createReports(db, log, () => undefined).report(nodeId, { kind: 'finished', attemptId, leaseToken, ...ended, artifacts, logSeq: 1, logArchived })
}

const pending = () => admin.anyFirst(sql.unsafe`select key from pending_objects order by key`)

test('what the node of a lost attempt uploaded goes, and what it uploads after that goes when its addresses have expired', async () => {
  const { job, file, output, archive } = await uploaded()
  assert.deepEqual(await collectObjects(db, objects), { deleted: 0, failed: 0, more: false })
  await lose(job)
  assert.deepEqual(await collectObjects(db, objects), { deleted: 2, failed: 0, more: false })
  assert.deepEqual([await objects.size(output), await objects.size(archive)], [undefined, undefined])
  // The node did not hear that it was lost; its address is good for a while.
  assert.equal(await put(file), 200)
  assert.equal((await collectObjects(db, objects)).deleted, 0)
  assert.deepEqual(await pending(), [output, archive])
  await admin.query(sql.unsafe`update pending_objects set delete_at = now(), expires_at = now()`)
  assert.equal((await collectObjects(db, objects)).deleted, 2)
  assert.equal(await objects.size(output), undefined)
  assert.deepEqual(await pending(), [])
})

test('what was reported stays', async () => {
  const { job, output, archive } = await uploaded()
  const reply = await report(job, true)
  assert.equal(reply.status, 'ok')
  assert.deepEqual(await pending(), [])
  await collectObjects(db, objects)
  assert.deepEqual([await objects.size(output), await objects.size(archive)], [5, 5])
})

test('what a live attempt was promised stays, however late it is, and it can still end', async () => {
  const { job, output } = await uploaded()
  await admin.query(sql.unsafe`update pending_objects set delete_at = now() - interval '1 hour', expires_at = now() - interval '1 hour'`)
  assert.equal((await collectObjects(db, objects)).deleted, 0)
  assert.equal(await objects.size(output), 5)
  await lose(job)
  assert.equal((await collectObjects(db, objects)).deleted, 2)
  assert.deepEqual(await pending(), [])
})

test('an object that cannot be deleted is tried again, and does not keep the others', async () => {
  const keys = Array.from({ length: 40 }, (_, i) => `artifacts/${make.accountId}/x/${String(i).padStart(2, '0')}`)
  await admin.transaction((tx) =>
    discardObjects(
      tx,
      keys.map((key) => ({ key, attemptId: 'att_x' })),
    ),
  )
  const [stuck] = keys
  const failing: Pick<Objects, 'delete'> = {
    delete: (key, signal) => (key === stuck ? Promise.reject(new Error('no')) : objects.delete(key, signal)),
  }
  assert.deepEqual(await collectObjects(db, failing), { deleted: 39, failed: 1, more: false })
  assert.deepEqual(await pending(), [stuck])
  await assert.rejects(collectObjects(db, failing), /deletes nothing, and 1 or more/)
  assert.equal((await collectObjects(db, objects)).deleted, 1)
})

test('who promises an object that is being deleted waits until it is, and then has it', async () => {
  const { job, archive } = await uploaded()
  await report(job, false)
  const order: string[] = []
  const deleting = Promise.withResolvers<void>()
  const goOn = Promise.withResolvers<void>()
  const slow: Pick<Objects, 'delete'> = {
    async delete(key) {
      deleting.resolve()
      await goOn.promise
      await objects.delete(key)
      order.push('deleted')
    },
  }
  const round = collectObjects(db, slow)
  await deleting.promise
  const asked = answerUploads(db, objects, job.nodeId, { attemptId: job.attemptId, leaseToken: job.leaseToken, log: true, files: [] }, 600).then((reply) => {
    order.push('promised')
    return reply
  })
  // The promise has to be at the lock by now or come to it later: it is behind the deletion either way.
  goOn.resolve()
  const { log: address } = await asked
  await round
  assert.deepEqual(order, ['deleted', 'promised'])
  assert.ok(address)
  await put(address)
  assert.equal((await collectObjects(db, objects)).deleted, 0)
  assert.equal(await objects.size(archive), 5)
})

test('who does not lead deletes nothing', async () => {
  await admin.transaction((tx) => discardObjects(tx, [{ key: `artifacts/${make.accountId}/y`, attemptId: 'att_x' }]))
  const collector = createObjectCollector(db, objects, log, () => false)
  await collector.start()
  await collector.stop()
  assert.equal((await pending()).length, 1)
})
