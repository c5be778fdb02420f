import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { sql } from 'slonik'
import { freeByHand, liveWork, nodeFacts, pastDurations, waitingJobs } from '#store/machine-facts.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'

let database: TestDatabase
let admin: DatabasePool
let db: DatabasePool
let make: Factory

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl, 2)
  db = await createDbPool(database.schedulerUrl, 2)
  make = await createFactory(admin)
})
beforeEach(async () => {
  await admin.query(sql.unsafe`truncate nodes, jobs cascade`)
  await admin.query(sql.unsafe`update limits set running_jobs = null where id = 'default'`)
  await admin.query(sql.unsafe`delete from limits where id <> 'default'`)
})
after(async () => {
  await Promise.all([admin.end(), db.end()])
  await database.drop()
})

const resources = (cpu: string, memory = '512Mi') => ({ spec: { resources: { cpu, memory } } })

async function attempt(jobId: string, nodeId: string, seconds: number | null): Promise<void> {
  const ended = seconds !== null
  await admin.query(sql.unsafe`
    insert into attempts (id, account_id, job_id, number, node_id, lease_token, slots, memory_bytes, state, cause, assigned_at, finished_at)
    values (${`att_${jobId}`}, ${make.accountId}, ${jobId}, 1, ${nodeId}, 'x', 1, 1024, ${ended ? 'succeeded' : 'running'}, ${ended ? 'exit' : null},
      now() - make_interval(secs => ${(seconds ?? 0) + 10}), ${ended ? sql.fragment`now() - interval '10 seconds'` : null})`)
  const job = ended ? sql.fragment`state = 'succeeded', cause = 'exit', reason = null, finished_at = now()` : sql.fragment`state = 'running'`
  await admin.query(sql.unsafe`update jobs set ${job}, attempt_id = ${`att_${jobId}`} where id = ${jobId}`)
}

const bought = async (state: string) => {
  const id = await make.node()
  await admin.query(sql.unsafe`
    update nodes set provider = 'test', server_type = 'small', location = 'here', state = ${state}, billed_from = now() - interval '1 hour',
      enrolled_at = now() - interval '50 minutes', hour_microns = 9 where id = ${id}`)
  return id
}

test('what waits is grouped by what it takes, with the oldest', async () => {
  for (let i = 0; i < 3; i++) await make.job()
  const big = await make.job(resources('2', '1Gi'))
  await make.job({ held: 'batch', batchId: await make.batch({ size: 1 }), batchIndex: 0 })
  await admin.query(sql.unsafe`update jobs set queued_at = now() - interval '90 seconds' where id = ${big}`)
  const groups = (await waitingJobs(db)).sort((a, b) => a.slots - b.slots)
  assert.deepEqual(
    groups.map(({ slots, memoryBytes, jobs, oldestWaitSeconds }) => [slots, memoryBytes, jobs, Math.floor(oldestWaitSeconds / 60)]),
    [
      [1, 2 ** 29, 3, 0],
      [2, 2 ** 30, 1, 1],
    ],
  )
  assert.ok(groups.every(({ image, projectId }) => image !== null && projectId === make.projectId))
})

for (const { what, limit, left } of [
  { what: 'its account', limit: () => sql.unsafe`insert into limits (id, account_id, running_jobs) values (${make.accountId}, ${make.accountId}, 3)`, left: 2 },
  {
    what: 'its project',
    limit: () => sql.unsafe`insert into limits (id, account_id, project_id, running_jobs) values (${make.projectId}, ${make.accountId}, ${make.projectId}, 2)`,
    left: 1,
  },
  { what: 'everybody', limit: () => sql.unsafe`update limits set running_jobs = 1 where id = 'default'`, left: 0 },
]) {
  test(`no machine is wanted for jobs that the limit of ${what} keeps from running`, async () => {
    await attempt(await make.job(), await make.node(), null)
    for (let i = 0; i < 5; i++) await make.job()
    await admin.query(limit())
    assert.equal(
      (await waitingJobs(db)).reduce((sum, { jobs }) => sum + jobs, 0),
      left,
    )
  })
}

test('of nodes it is known since when they are idle, what runs there, and who drained them', async () => {
  const [busy, idle, fresh] = [await bought('ready'), await bought('draining'), await bought('ready')]
  await make.node()
  const [running, ended] = [await make.job(), await make.job()]
  await attempt(running, busy, null)
  await attempt(ended, idle, 30)
  await admin.query(sql.unsafe`update nodes set drain_requested_at = now(), drain_planned = true where id = ${idle}`)
  const facts = new Map((await nodeFacts(db, 'test')).map((node) => [node.nodeId, node]))
  assert.equal(facts.size, 3)
  const now = Date.now()
  const sinceSeconds = (id: string) => Math.round((now - (facts.get(id)?.freeSinceMs ?? 0)) / 1000)
  assert.ok(Math.abs(sinceSeconds(idle) - 10) < 30 && Math.abs(sinceSeconds(fresh) - 3000) < 30, `${sinceSeconds(idle)} ${sinceSeconds(fresh)}`)
  assert.deepEqual([facts.get(idle)?.drainRequested, facts.get(idle)?.hourMicrons], [false, 9])
  assert.deepEqual(
    (await liveWork(db, 'test')).map(({ nodeId, slots }) => [nodeId, slots]),
    [[busy, 1]],
  )
  await admin.query(sql.unsafe`update nodes set drain_planned = false where id = ${idle}`)
  assert.equal((await nodeFacts(db, 'test')).find(({ nodeId }) => nodeId === idle)?.drainRequested, true)
})

test('what is free on nodes set up by hand is known', async () => {
  const [some, full] = [await make.node({ slots: 3 }), await make.node({ slots: 1 })]
  await bought('ready')
  await make.node({ state: 'draining' })
  await attempt(await make.job(), some, null)
  await attempt(await make.job(), full, null)
  assert.deepEqual(
    (await freeByHand(db)).map(({ slots, arch }) => [slots, arch]),
    [[2, 'amd64']],
  )
})

test('what jobs of a project and an image took lately is their median', async () => {
  const node = await make.node()
  for (const seconds of [10, 20, 500]) await attempt(await make.job(), node, seconds)
  const [past, ...more] = await pastDurations(db, [make.projectId])
  assert.deepEqual([Math.round(past?.seconds ?? 0), past?.attempts, more.length], [20, 3, 0])
})

test('a document that is large is not read for its image', async () => {
  await make.job({ spec: { code: 'x'.repeat(100_000).replaceAll(/x/g, () => Math.random().toString(36)) } })
  assert.deepEqual(
    (await waitingJobs(db)).map(({ image, jobs }) => [image, jobs]),
    [[null, 1]],
  )
})
