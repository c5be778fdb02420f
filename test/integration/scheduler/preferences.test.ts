import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import { type ClaimStore, createClaimStore } from '#store/claims.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { popularImages } from '#store/popular-images.ts'
import { recordRenewal } from '#store/presence.ts'
import { type Claims, createClaims } from '../../../scheduler/claims.ts'
import { answerRenewal } from '../../../scheduler/renewals.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'

const ASKS = { slots: 1, memoryBytes: 2 ** 32 }
const PYTHON = 'docker.io/library/python:3.12-slim'
const log = pino({ level: 'silent' })
let database: TestDatabase
let db: DatabasePool
let store: ClaimStore
let claims: Claims
let nudged: string[]
let make: Factory

before(async () => {
  database = await createTestDatabase()
  db = await createDbPool(database.adminUrl)
  store = createClaimStore(database.schedulerUrl, 4)
  make = await createFactory(db)
})
beforeEach(async () => {
  await db.query(sql.unsafe`truncate jobs, nodes, batches, secrets cascade`)
  nudged = []
  claims = createClaims(store, log, { nudge: (nodeId) => nudged.push(nodeId), lifetimeSeconds: 3600 })
})
after(async () => {
  await store.close()
  await db.end()
  await database.drop()
})

const python = () => make.job({ spec: { runtime: 'python:3.12-slim' } })
const heard = (nodeId: string) => db.query(sql.unsafe`update nodes set last_seen_at = now() where id = ${nodeId}`)
const take = async (nodeId: string) => (await claims.claim(nodeId, ASKS)).map((job) => job.jobId)

test('a job whose image another node has is left to it: that node is told to ask, and gets it', async () => {
  const cold = await make.node()
  const warm = await make.node({ images: [PYTHON] })
  await heard(warm)
  const jobId = await python()
  assert.deepEqual(await take(cold), [])
  assert.deepEqual(nudged, [warm, cold])
  assert.deepEqual(await take(warm), [jobId])
})

test('if nobody comes for it, whoever asks next gets it; and a node that did not come is left nothing more', async () => {
  const cold = await make.node({ slots: 4 })
  const warm = await make.node({ slots: 4, images: [PYTHON] })
  await heard(warm)
  const first = await python()
  assert.deepEqual(await take(cold), [])
  assert.deepEqual(await take(cold), [first])
})

for (const [why, change] of [
  ['was not heard of late', sql.fragment`last_seen_at = now() - interval '1 minute'`],
  ['drains', sql.fragment`state = 'draining'`],
  ['is to drain', sql.fragment`drain_requested_at = now()`],
  ['is lost', sql.fragment`state = 'lost'`],
] as const) {
  test(`nothing is left to a node that ${why}`, async () => {
    const cold = await make.node()
    const warm = await make.node({ images: [PYTHON] })
    await heard(warm)
    await db.query(sql.unsafe`update nodes set ${change} where id = ${warm}`)
    const jobId = await python()
    assert.deepEqual(await take(cold), [jobId])
    assert.deepEqual(nudged, [])
  })
}

test('nothing is left to a node that is full', async () => {
  const warm = await make.node({ slots: 1, images: [PYTHON] })
  await heard(warm)
  const running = await python()
  assert.deepEqual(await take(warm), [running])
  const jobId = await python()
  assert.deepEqual(await take(await make.node()), [jobId])
})

test('a job that an old machine may not outlive goes to a younger one, or else to the old one all the same', async () => {
  const old = await make.node({ ageSeconds: 3000 })
  const young = await make.node({ slots: 1, ageSeconds: 60 })
  await heard(young)
  const job = () => make.job({ spec: { timeoutSeconds: 1800 } })
  const [first, second] = [await job(), await job()]
  // The second, as the young one has room for one.
  assert.deepEqual(await take(old), [])
  assert.deepEqual(await take(young), [first])
  assert.deepEqual(await take(old), [second])
  // With the default timeout none lives long enough: it need not look for one.
  nudged = []
  const long = await make.job()
  assert.deepEqual(await take(old), [long])
  assert.deepEqual(nudged, [])
})

test('what a node has is kept as it says it, until it says something else', async () => {
  const node = await make.node()
  const images = () => db.oneFirst(sql.unsafe`select images from nodes where id = ${node}`)
  await recordRenewal(db, node, [], [PYTHON])
  assert.deepEqual(await images(), [PYTHON])
  await recordRenewal(db, node, ['att_x'])
  assert.deepEqual(await images(), [PYTHON], 'one of before there were any says nothing')
  await recordRenewal(db, node, ['att_x'], [])
  assert.deepEqual(await images(), [])
})

/** An attempt that brought its image, of a project. */
async function used(image: string, times: number, change: { projectId?: string; digest?: string | null } = {}): Promise<void> {
  const node = await make.node()
  for (let i = 0; i < times; i++) {
    const jobId = await make.job({ spec: { runtime: image } })
    if (change.projectId) await db.query(sql.unsafe`update jobs set project_id = ${change.projectId} where id = ${jobId}`)
    await db.query(sql.unsafe`
      insert into attempts (id, account_id, job_id, number, node_id, lease_token, slots, memory_bytes, state, cause, image_digest, finished_at)
      values (${newId('attempt')}, ${make.accountId}, ${jobId}, 1, ${node}, 't', 1, 1, 'succeeded', 'exit',
        ${change.digest === undefined ? 'sha256:1' : change.digest}, now())`)
  }
}

test('popular are images that many attempts brought without a credential, the most used first', async () => {
  await used('alpine:3.20', 5)
  await used('python:3.12-slim', 7)
  await used('rare:1', 2)
  await used('broken:1', 9, { digest: null })
  await used('ghcr.io/acme/private:1', 9)
  await db.query(sql.unsafe`
    insert into secrets (id, account_id, project_id, name, kind, registry_server, sealed)
    values ('sec_1', ${make.accountId}, ${make.projectId}, 'GHCR', 'registry', 'ghcr.io', 'x')`)
  const scheduler = await createDbPool(database.schedulerUrl)
  assert.deepEqual(await popularImages(scheduler, 8), ['python:3.12-slim', 'alpine:3.20'])
  assert.deepEqual(await popularImages(scheduler, 1), ['python:3.12-slim'])
  await scheduler.end()
})

test('a node that has just come is told of popular images that it lacks, and an old one is not', async () => {
  const node = await make.node()
  const renew = (images?: string[]) =>
    answerRenewal(db, log, node, { attempts: [], containers: [], ...(images ? { images } : {}) }, () => undefined, undefined, [
      'python:3.12-slim',
      'alpine:3.20',
    ])
  assert.deepEqual((await renew([PYTHON])).pull, ['alpine:3.20'])
  assert.equal((await renew()).pull, undefined, 'one of before there were any')
  assert.equal((await renew([PYTHON, 'docker.io/library/alpine:3.20'])).pull, undefined)
  await db.query(sql.unsafe`update nodes set enrolled_at = now() - interval '11 minutes' where id = ${node}`)
  assert.equal((await renew([])).pull, undefined)
})
