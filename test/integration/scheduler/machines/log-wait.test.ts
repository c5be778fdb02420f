import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import { sql } from 'slonik'
import { recordLogArchived } from '#store/attempt-end.ts'
import type { ClaimedJob } from '#store/claims.ts'
import { startDeleting } from '#store/machines.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { planMachines } from '../../../../scheduler/plan/plan-machines.ts'
import { type Attempts, createAttempts } from '../../../harness/attempts.ts'
import { createTestDatabase, type TestDatabase } from '../../../harness/database.ts'
import { createFactory, type Factory } from '../../../harness/factory.ts'
import { enrolMachines, nodeRows, roundsUntil, statesOf } from '../../../harness/machines/fleet.ts'
import { createHttpCloud } from '../../../harness/machines/http-cloud.ts'
import { type Provider, startProvider } from '../../../harness/machines/provider.ts'
import { createRounds, planFor, type Rounds } from '../../../harness/machines/rounds.ts'

let database: TestDatabase
let admin: DatabasePool
let db: DatabasePool
let make: Factory
let attempts: Attempts
let provider: Provider
/** What the loops said, a line each. */
let said: string[]

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl, 4)
  db = await createDbPool(database.schedulerUrl, 4)
  make = await createFactory(admin)
  attempts = await createAttempts(database.schedulerUrl, make)
})
beforeEach(async (t) => {
  await admin.query(sql.unsafe`truncate nodes, enrolment_tokens, cells, scaling, jobs cascade`)
  said = []
  provider = await startProvider()
  if ('after' in t) t.after(() => provider.close())
})
after(async () => {
  await attempts.close()
  await Promise.all([admin.end(), db.end()])
  await database.drop()
})

const loopsWith = (plan: Parameters<typeof createRounds>[0]['plan']): Rounds =>
  createRounds({ db, cloud: createHttpCloud(provider.url), log: pino({}, { write: (line: string) => said.push(line) }), plan })

/** A bought node on which an attempt has ended whose log could not be archived; deleted by the real planner as soon as it is idle. */
async function aNodeWithLog(): Promise<{ nodeId: string; job: ClaimedJob; loops: Rounds }> {
  await loopsWith(planFor(() => 1)).all()
  await enrolMachines(admin, provider.servers, provider.userData)
  const [node] = await nodeRows(admin)
  assert.ok(node)
  return { nodeId: node.id, job: await endUnarchived(node.id), loops: loopsWith(planMachines) }
}

async function endUnarchived(nodeId: string): Promise<ClaimedJob> {
  await make.job()
  const [job] = await attempts.claim(nodeId)
  assert.ok(job)
  await attempts.finish(job, { logSeq: 3, logArchived: false })
  return job
}

const archive = (job: ClaimedJob) => db.transaction((tx) => recordLogArchived(tx, job.nodeId, job.attemptId, job.leaseToken, 3))
const verdict = async () => (await nodeRows(admin))[0]?.verdict ?? ''
const waitedFor = (minutes: number) => admin.query(sql.unsafe`update nodes set logs_due_at = logs_due_at - make_interval(mins => ${minutes})`)
const errors = () => said.map((line) => JSON.parse(line) as { level: number; msg: string; unarchived?: number }).filter(({ level }) => level >= 50)

test('a node whose log is not archived is kept, its verdict says so, and it goes when the log is archived', async () => {
  const { job, loops } = await aNodeWithLog()
  for (let i = 0; i < 3; i++) await loops.all()
  assert.deepEqual([await statesOf(admin), provider.servers.length], [{ ready: 1 }, 1])
  assert.match(await verdict(), /^kept: 1 log is not archived yet; waits until \d\d:\d\d UTC$/)
  assert.equal(said.filter((line) => line.includes('kept until its logs are archived')).length, 1, 'it is said once')
  assert.equal(await archive(job), true)
  await roundsUntil(admin, { gone: 1 }, loops.all)
  assert.deepEqual(errors(), [])
})

test('after 50 minutes it goes all the same, and that is said', async () => {
  const { nodeId, loops } = await aNodeWithLog()
  await endUnarchived(nodeId)
  await loops.all()
  await waitedFor(49)
  await loops.all()
  assert.deepEqual(await statesOf(admin), { ready: 1 })
  await waitedFor(2)
  await loops.plan()
  assert.deepEqual(await statesOf(admin), { deleting: 1 })
  assert.match(said.join(''), /2 logs are not archived, and lost with it/)
  await roundsUntil(admin, { gone: 1 }, loops.all)
  assert.deepEqual(
    errors().map(({ unarchived }) => unarchived),
    [2],
  )
})

test('the wait for other logs begins anew', async () => {
  const { nodeId, job, loops } = await aNodeWithLog()
  await loops.all()
  await waitedFor(60)
  await archive(job)
  // It is wanted while the object store is away again.
  await loopsWith(planFor(() => 1)).plan()
  await endUnarchived(nodeId)
  for (let i = 0; i < 3; i++) await loops.all()
  assert.deepEqual(await statesOf(admin), { ready: 1 })
})

test('a node that is waited for takes work', async () => {
  const { nodeId, loops } = await aNodeWithLog()
  await loops.all()
  await make.job()
  assert.equal((await attempts.claim(nodeId)).length, 1)
})

test('a node that waits for its logs and is lost goes at once, and what went with it is said', async () => {
  const { nodeId, loops } = await aNodeWithLog()
  await loops.all()
  await admin.query(sql.unsafe`update nodes set state = 'lost' where id = ${nodeId}`)
  await admin.query(sql.unsafe`update nodes set state_at = now() - interval '1 hour'`)
  await roundsUntil(admin, { gone: 1 }, loops.all)
  assert.equal(errors().length, 1)
})

for (const [what, change] of [
  ['has nothing in its log', { logSeq: 0 }],
  ['was lost', { cause: 'lost', exitCode: null, logSeq: 3 }],
] as const) {
  test(`an attempt that ${what} keeps no node`, async () => {
    const { job, nodeId } = await aNodeWithLog()
    await archive(job)
    await make.job()
    const [other] = await attempts.claim(nodeId)
    assert.ok(other)
    await attempts.finish(other, change)
    await roundsUntil(admin, { gone: 1 }, loopsWith(planFor(() => 0)).all)
    assert.deepEqual(errors(), [])
  })
}

test('no plan can delete a node that has such a log', async () => {
  const { nodeId, job } = await aNodeWithLog()
  const remove = () => db.transaction((tx) => startDeleting(tx, nodeId, ['ready'], { verdict: 'away with it' }))
  assert.equal(await remove(), false)
  await archive(job)
  assert.equal(await remove(), true)
})
