import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { pino } from 'pino'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import type { ClaimedJob } from '#store/claims.ts'
import { nodeFacts } from '#store/machine-facts.ts'
import { planResume } from '#store/machines.ts'
import { setDrain } from '#store/nodes.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { recordRenewal, recordSeen } from '#store/presence.ts'
import { row } from '#store/row.ts'
import { type AttemptResult, silentResult } from '../../../scheduler/finish.ts'
import { createSickNodes, type SickNodesDeps } from '../../../scheduler/reaper/sick-nodes.ts'
import { type Attempts, createAttempts } from '../../harness/attempts.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'

const BROKEN = { cause: 'runner_error', exitCode: null, transient: true, nodeFault: true } as const
/** How it ends elsewhere: by itself, after it was seen to run. */
const WELL = { cause: 'exit', exitCode: 0, startedAtMs: 1 } as const
let database: TestDatabase
let admin: DatabasePool
let db: DatabasePool
let attempts: Attempts
let make: Factory

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl)
  db = await createDbPool(database.schedulerUrl)
  make = await createFactory(admin)
  attempts = await createAttempts(database.schedulerUrl, make)
})
beforeEach(async () => {
  await admin.query(sql.unsafe`truncate jobs, nodes, batches cascade`)
})
after(async () => {
  await attempts.close()
  await db.end()
  await admin.end()
  await database.drop()
})

/** Gives the node the only job that is queued, and ends it so. */
async function run(nodeId: string, result: Partial<AttemptResult>): Promise<ClaimedJob> {
  const [job] = await attempts.claim(nodeId)
  assert.ok(job)
  await attempts.finish(job, result)
  await admin.query(sql.unsafe`update jobs set state = 'queued', hold = null, hold_until = null where state = 'held'`)
  return job
}

/** Jobs, one after the other, that the first node fails and the second one does. */
async function fails(sick: string, well: string, jobs = 3, result: Partial<AttemptResult> = BROKEN, elsewhere: Partial<AttemptResult> = WELL): Promise<void> {
  for (let i = 0; i < jobs; i++) {
    await make.job()
    await run(sick, result)
    await run(well, elsewhere)
    await admin.query(
      sql.unsafe`update jobs set state = 'cancelled', cause = 'cancelled', hold = null, hold_until = null, finished_at = now() where finished_at is null`,
    )
  }
}

const nodes = async (count: number) => {
  const made: string[] = []
  for (let i = 0; i < count; i++) made.push(await make.node({ slots: 50 }))
  return made as [string, string, string, ...string[]]
}

/** One round. Returns what nodes were told, and what was said of it. */
async function judge(change: Partial<SickNodesDeps> = {}) {
  const told: string[][] = []
  let said: unknown[] = []
  const loop = createSickNodes({
    db,
    log: pino({ level: 'silent' }),
    limit: 3,
    retrySeconds: 3600,
    isLeader: () => true,
    tell: (...words) => told.push(words),
    judged: (...words) => (said = words),
    ...change,
  })
  await loop.start()
  await loop.stop()
  return { told, said }
}

const StateRow = row(Type.Object({ state: Type.String(), drain: Type.Boolean(), cordon_reason: maybe(Type.String()) }))
const stateOf = (id: string) => admin.one(sql.type(StateRow)`select state, drain_requested_at is not null as drain, cordon_reason from nodes where id = ${id}`)
const WORKS = { state: 'ready', drain: false, cordon_reason: null }

test('a node on which three jobs failed that others did gets no more work; what runs there may end', async () => {
  const [sick, well] = await nodes(3)
  await fails(sick, well, 2)
  assert.deepEqual(await judge(), { told: [], said: [0, false] })
  await fails(sick, well, 1)
  assert.deepEqual(await judge(), { told: [[sick, 'drain']], said: [1, false] })
  const { state, cordon_reason } = await stateOf(sick)
  assert.equal(state, 'draining')
  assert.match(cordon_reason ?? '', /^cordoned: 3 jobs failed here and did well elsewhere \(runner_error\); the last was job_/)
  await make.job()
  assert.deepEqual(await attempts.claim(sick), [])
  await recordSeen(admin, [{ nodeId: sick, draining: false }])
  assert.deepEqual(await attempts.claim(sick), [])
  assert.deepEqual(await recordRenewal(db, sick, []), { drain: true, patient: true, young: true })
  assert.deepEqual(await judge(), { told: [], said: [1, false] })
})

for (const [what, failed, elsewhere] of [
  ['an image that cannot be pulled', { cause: 'image', exitCode: null, transient: true }, WELL],
  ['an input that does not come', { cause: 'input', exitCode: null, transient: true }, WELL],
  ['preparing that takes too long', { cause: 'prepare_timeout', exitCode: null, transient: true }, WELL],
  ['a node that says it is not its own fault', { ...BROKEN, nodeFault: false }, WELL],
  ['a node that somebody stopped', { cause: 'interrupted', exitCode: null, transient: false }, WELL],
  ['jobs that fail everywhere', BROKEN, BROKEN],
  ['jobs that came no further elsewhere', BROKEN, { cause: 'image', exitCode: null, transient: false }],
  ['jobs that had another image elsewhere', { ...BROKEN, imageDigest: 'sha256:a' }, { ...WELL, imageDigest: 'sha256:b' }],
] as const) {
  test(`nothing speaks against a node for ${what}`, async () => {
    const [node, other] = await nodes(3)
    await fails(node, other, 4, failed, elsewhere)
    assert.deepEqual(await judge(), { told: [], said: [0, false] })
  })
}

test('jobs that fail of themselves, and kill themselves, do not speak against a node', async () => {
  const [node] = await nodes(3)
  for (const end of [{ cause: 'exit', exitCode: 1 }, { cause: 'oom', exitCode: 137 }, { cause: 'timeout' }] as const) {
    await make.job()
    await run(node, end)
  }
  assert.deepEqual(await judge(), { told: [], said: [0, false] })
})

test('that a job runs elsewhere for longer than it did here is enough', async () => {
  const [sick, well] = await nodes(3)
  for (let i = 0; i < 3; i++) {
    await make.job()
    await run(sick, BROKEN)
    assert.equal((await attempts.claim(well)).length, 1)
  }
  assert.deepEqual((await judge()).told, [])
  await admin.query(sql.unsafe`update attempts set state = 'running', started_at = now() where finished_at is null`)
  assert.deepEqual((await judge()).told, [[sick, 'drain']])
})

test('jobs that were lost with their machine count one time; a machine that is lost again and again is cordoned', async () => {
  const [flapping, well] = await nodes(3)
  const lost = silentResult('lost', 'not heard')
  await fails(flapping, well, 5, lost)
  assert.deepEqual((await judge()).told, [])
  await admin.query(sql.unsafe`
    update attempts a set finished_at = a.finished_at - make_interval(mins => n.number) from (
      select id, row_number() over (order by id)::int as number from attempts where cause = 'lost'
    ) n where n.id = a.id`)
  await admin.query(sql.unsafe`update nodes set state = 'lost' where id = ${flapping}`)
  assert.deepEqual((await judge()).told, [[flapping, 'drain']])
  assert.equal((await stateOf(flapping)).state, 'lost')
  await recordRenewal(db, flapping, [])
  assert.equal((await stateOf(flapping)).state, 'draining', 'it is back, and gets no work')
})

test('what failed longer ago than a quarter of an hour is forgotten', async () => {
  const [node, well] = await nodes(3)
  await fails(node, well, 5)
  await admin.query(sql.unsafe`update attempts set finished_at = finished_at - interval '16 minutes'`)
  assert.deepEqual((await judge()).told, [])
})

test('when most nodes fail jobs none is cordoned, and it is told', async () => {
  const [a, b, well] = await nodes(3)
  await fails(a, well)
  await fails(b, well)
  assert.deepEqual(await judge(), { told: [], said: [0, true] })
  assert.deepEqual([await stateOf(a), await stateOf(b)], [WORKS, WORKS])
})

test('a third of the fleet and no more; those that drain anyway are no part of it', async () => {
  const [a, b, c, ...others] = await nodes(7)
  for (const node of [a, b]) await fails(node, others[0] as string)
  for (const node of others.slice(2)) await setDrain(admin, node, true)
  assert.deepEqual(await judge(), { told: [], said: [0, true] })
  for (const node of others.slice(2)) await setDrain(admin, node, false)
  const first = await judge()
  assert.deepEqual(
    first.told.toSorted(),
    [
      [a, 'drain'],
      [b, 'drain'],
    ].toSorted(),
  )
  await fails(c, others[0] as string)
  assert.deepEqual(await judge(), { told: [], said: [2, true] })
})

test('an operator lets it take work again, and what was before is not held against it', async () => {
  const [sick, well] = await nodes(3)
  await fails(sick, well)
  await judge()
  await setDrain(admin, sick, false)
  assert.deepEqual(await stateOf(sick), WORKS)
  assert.deepEqual((await judge()).told, [])
  await fails(sick, well)
  assert.deepEqual((await judge()).told, [[sick, 'drain']])
})

test('a node that was set up by hand is tried again after a while; one that was bought, or that an operator drained since, is not', async () => {
  const [sick, well] = await nodes(9)
  const bought = await make.node({ slots: 50, ageSeconds: 60 })
  for (const node of [sick, bought]) await fails(node, well)
  assert.equal((await judge()).told.length, 2)
  await admin.query(sql.unsafe`update nodes set cordoned_at = now() - interval '59 minutes' where cordoned_at is not null`)
  assert.deepEqual((await judge()).told, [])
  await admin.query(sql.unsafe`update nodes set cordoned_at = now() - interval '61 minutes' where cordoned_at is not null`)
  assert.deepEqual((await judge()).told, [[sick, 'resume']])
  assert.deepEqual(await stateOf(sick), WORKS)
  assert.equal((await stateOf(bought)).state, 'draining')
  await fails(sick, well)
  await judge()
  await setDrain(admin, sick, true)
  assert.deepEqual(await stateOf(sick), { state: 'draining', drain: true, cordon_reason: null })
  await admin.query(sql.unsafe`update nodes set drain_requested_at = now() - interval '1 day' where id = ${sick}`)
  assert.deepEqual((await judge()).told, [])
})

test('a machine that was bought is not taken back by the planner, and goes', async () => {
  const [well] = await nodes(3)
  const bought = await make.node({ slots: 50, ageSeconds: 60 })
  await fails(bought, well)
  await judge()
  assert.equal(await planResume(db, bought), false)
  const [facts] = await nodeFacts(db, 'local')
  assert.deepEqual([facts?.state, facts?.drainRequested], ['draining', true])
})

test('nothing is done by one that does not lead, or with a limit of 0', async () => {
  const [sick, well] = await nodes(3)
  await fails(sick, well)
  assert.deepEqual(await judge({ isLeader: () => false }), { told: [], said: [] })
  assert.deepEqual(await judge({ limit: 0 }), { told: [], said: [0, false] })
  assert.deepEqual(await stateOf(sick), WORKS)
})
