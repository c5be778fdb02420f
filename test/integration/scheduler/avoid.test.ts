import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { sql } from 'slonik'
import type { Spec } from '#core/job/spec.ts'
import type { ClaimedJob } from '#store/claims.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { type AttemptResult, silentResult } from '../../../scheduler/finish.ts'
import { type Attempts, createAttempts } from '../../harness/attempts.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'

/** What a node with a broken disk says. */
const BROKEN = { cause: 'runner_error', exitCode: null, transient: true, nodeFault: true } as const
let database: TestDatabase
let db: DatabasePool
let attempts: Attempts
let make: Factory

before(async () => {
  database = await createTestDatabase()
  db = await createDbPool(database.adminUrl)
  make = await createFactory(db)
  attempts = await createAttempts(database.schedulerUrl, make)
})
beforeEach(async () => {
  await db.query(sql.unsafe`truncate jobs, nodes, batches cascade`)
})
after(async () => {
  await attempts.close()
  await db.end()
  await database.drop()
})

const hear = () => db.query(sql.unsafe`update nodes set last_seen_at = now()`)
/** The pause before a retry is over. */
const release = () => db.query(sql.unsafe`update jobs set state = 'queued', hold = null, hold_until = null where state = 'held'`)
const take = async (nodeId: string, slots = 1) => (await attempts.claim(nodeId, slots)).map((job) => job.jobId)

/** A job that ended so on a node, and may be claimed again. */
async function failed(nodeId: string, result: Partial<AttemptResult> = BROKEN, spec: Partial<Spec> = {}): Promise<string> {
  await make.job({ spec: { retries: 3, ...spec } })
  const [job] = (await attempts.claim(nodeId, 2)) as [ClaimedJob]
  await attempts.finish(job, result)
  await release()
  await hear()
  return job.jobId
}

for (const [what, result] of [
  ['could not run it', BROKEN],
  ['could not pull its image', { cause: 'image', exitCode: null, transient: true }],
  ['was lost', silentResult('lost', 'not heard')],
  ['was restarted', { cause: 'interrupted', exitCode: null, transient: true, nodeFault: true }],
] as const) {
  test(`a job is not given back to the node that ${what}, and the next one gets it`, async () => {
    const [sick, well] = [await make.node(), await make.node()]
    const jobId = await failed(sick, result)
    assert.deepEqual(await take(sick), [])
    assert.deepEqual(await take(well), [jobId])
  })
}

for (const [what, result] of [
  ['that failed by itself', { cause: 'exit', exitCode: 1 }],
  ['whose node was asked to stop', { cause: 'interrupted', exitCode: null }],
] as const) {
  test(`a job ${what} goes to whoever asks`, async () => {
    const node = await make.node()
    await make.node()
    const jobId = await failed(node, result)
    assert.deepEqual(await take(node), [jobId])
  })
}

test('the node that failed a job gets those behind it', async () => {
  const sick = await make.node()
  await make.node()
  await failed(sick)
  const other = await make.job()
  assert.deepEqual(await take(sick), [other])
})

test('a job goes through the fleet, and to any node again when all have failed it', async () => {
  const nodes = [await make.node(), await make.node(), await make.node()] as const
  const jobId = await failed(nodes[0])
  for (const [i, node] of nodes.slice(1).entries()) {
    for (const before of nodes.slice(0, i + 1)) assert.deepEqual(await take(before), [])
    const [job] = (await attempts.claim(node)) as [ClaimedJob]
    assert.equal(job.jobId, jobId)
    await attempts.finish(job, BROKEN)
    await release()
  }
  assert.deepEqual(await take(nodes[0]), [jobId])
})

for (const [why, change] of [
  ['has too little memory', sql.fragment`memory_bytes = 1`],
  ['has one slot, and not two', sql.fragment`slots = 1`],
  ['was not heard of late', sql.fragment`last_seen_at = now() - interval '1 minute'`],
  ['drains', sql.fragment`state = 'draining'`],
  ['is to drain', sql.fragment`drain_requested_at = now()`],
  ['is lost', sql.fragment`state = 'lost'`],
] as const) {
  test(`a job does not wait for a node that ${why}`, async () => {
    const [sick, other] = [await make.node(), await make.node()]
    const jobId = await failed(sick, BROKEN, { resources: { cpu: '2' } })
    await db.query(sql.unsafe`update nodes set ${change} where id = ${other}`)
    assert.deepEqual(await take(sick, 2), [jobId])
  })
}

test('the only node that there is gets the job again at once', async () => {
  const node = await make.node()
  const jobId = await failed(node)
  assert.deepEqual(await take(node), [jobId])
})

test('a job waits for a node that is full, and not for longer than half a minute', async () => {
  const [sick, full] = [await make.node(), await make.node({ slots: 1 })]
  await make.job()
  assert.equal((await take(full)).length, 1)
  const jobId = await failed(sick)
  const queuedFor = (seconds: number) => db.query(sql.unsafe`update jobs set queued_at = now() - make_interval(secs => ${seconds}) where id = ${jobId}`)
  await queuedFor(25)
  assert.deepEqual(await take(sick), [])
  await queuedFor(31)
  assert.deepEqual(await take(sick), [jobId])
})
