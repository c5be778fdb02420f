import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { pino } from 'pino'
import { sql } from 'slonik'
import { type ClaimedJob, type ClaimStore, createClaimStore } from '#store/claims.ts'
import { changeLimits } from '#store/limits.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { row } from '#store/row.ts'
import { type Claims, createClaims } from '../../../scheduler/claims.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'
import { makeProject, makeTenant, queueJobs, type Tenant } from '../../harness/tenants.ts'

const OwnerRow = row(Type.Object({ account_id: Type.String() }))
let database: TestDatabase
let admin: DatabasePool
let store: ClaimStore
let claims: Claims
let make: Factory
let node: string

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl, 4)
  store = createClaimStore(database.schedulerUrl, 4)
  claims = createClaims(store, pino({ level: 'silent' }))
  make = await createFactory(admin)
})
beforeEach(async () => {
  await admin.query(sql.unsafe`truncate jobs, nodes, batches, account_turns cascade`)
  await admin.query(sql.unsafe`update claim_clock set at = 0`)
  node = await make.node({ slots: 30_000, memoryBytes: 2 ** 50 })
})
after(async () => {
  await store.close()
  await admin.end()
  await database.drop()
})

const claim = (slots = 1, claimer = claims) => claimer.claim(node, { slots, memoryBytes: 2 ** 50 })
/** Whose the claimed jobs are, in their order. */
async function owners(jobs: readonly ClaimedJob[]): Promise<string[]> {
  return Promise.all(jobs.map(({ jobId }) => admin.oneFirst(sql.type(OwnerRow)`select account_id from jobs where id = ${jobId}`)))
}
async function claimOwners(rounds: number, slots = 1): Promise<string[]> {
  const given: string[] = []
  for (let i = 0; i < rounds; i++) given.push(...(await owners(await claim(slots))))
  return given
}
const countOf = (given: readonly string[], { accountId }: Tenant) => given.filter((owner) => owner === accountId).length

test('an account with 100,000 queued jobs does not make another’s wait: its first starts next', async () => {
  const [a, b] = [await makeTenant(admin), await makeTenant(admin)]
  await queueJobs(admin, a, 100_000)
  await claimOwners(20)
  await queueJobs(admin, b, 10)
  const given = await claimOwners(20)
  assert.equal(given[0], b.accountId)
  assert.deepEqual([countOf(given, a), countOf(given, b)], [10, 10])
})

for (const slots of [1, 16]) {
  test(`weights 1:1:2 get shares 1:1:2 in every window, claimed ${slots} at a time`, async (t) => {
    const tenants = [await makeTenant(admin, 1), await makeTenant(admin, 1), await makeTenant(admin, 2)] as const
    for (const tenant of tenants) await queueJobs(admin, tenant, 400)
    const given = await claimOwners(320 / slots, slots)
    const windows: number[][] = []
    for (let start = 0; start < given.length; start += 40) windows.push(tenants.map((tenant) => countOf(given.slice(start, start + 40), tenant)))
    t.diagnostic(`of each 40 claimed: ${windows.map((window) => window.join('/')).join('  ')}`)
    // Within a round of 16 what comes first is not told apart.
    const slack = slots === 1 ? 1 : 6
    for (const [a, b, c] of windows as [number, number, number][])
      assert.ok(Math.abs(a - 10) <= slack && Math.abs(b - 10) <= slack && Math.abs(c - 20) <= slack, `${a}/${b}/${c}`)
    assert.deepEqual(
      tenants.map((tenant) => countOf(given, tenant)),
      [80, 80, 160],
    )
  })
}

test('an account that was idle has saved nothing up, and owes nothing', async () => {
  const [a, b] = [await makeTenant(admin), await makeTenant(admin)]
  await queueJobs(admin, b, 50)
  await claimOwners(50)
  await queueJobs(admin, a, 100)
  await claimOwners(50)
  await queueJobs(admin, b, 100)
  const given = await claimOwners(40)
  assert.ok(Math.abs(countOf(given, b) - 20) <= 1, `${countOf(given, b)} of 40`)
})

test('what counts is slots: an account of large jobs gets fewer of them', async () => {
  const [small, large] = [await makeTenant(admin), await makeTenant(admin)]
  await queueJobs(admin, small, 200)
  await queueJobs(admin, large, 200, { slots: 4 })
  const given = await claimOwners(100, 4)
  const jobs = [countOf(given, small), countOf(given, large)] as [number, number]
  assert.ok(Math.abs(jobs[0] - 4 * jobs[1]) <= 8, `${jobs[0]} small, ${jobs[1]} large`)
})

test('priority counts within an account, and gives it no more turns', async () => {
  const [loud, quiet] = [await makeTenant(admin), await makeTenant(admin)]
  await queueJobs(admin, loud, 100, { priority: -5 })
  await queueJobs(admin, loud, 100, { priority: 100 })
  await queueJobs(admin, quiet, 100)
  const jobs: ClaimedJob[] = []
  for (let i = 0; i < 60; i++) jobs.push(...(await claim()))
  const given = await owners(jobs)
  assert.deepEqual([countOf(given, loud), countOf(given, quiet)], [30, 30])
  const priorities = await admin.anyFirst(sql.type(row(Type.Object({ priority: Type.Number() })))`
    select distinct priority from jobs where account_id = ${loud.accountId} and state = 'running'`)
  assert.deepEqual([...priorities], [100])
})

test('an account runs as many jobs at once as it may, also when two schedulers give at once, and others are not held up', async () => {
  const [held, free] = [await makeTenant(admin), await makeTenant(admin)]
  await changeLimits(admin, { accountId: held.accountId, projectId: null }, { runningJobs: 5 })
  await queueJobs(admin, held, 500)
  await queueJobs(admin, free, 50)
  const second = createClaimStore(database.schedulerUrl, 2)
  const other = createClaims(second, pino({ level: 'silent' }))
  const jobs: ClaimedJob[] = []
  for (let more = true; more; ) {
    const round = (await Promise.all([claim(8), claim(8, other), claim(8), claim(8, other)])).flat()
    jobs.push(...round)
    more = round.length > 0
  }
  await second.close()
  const given = await owners(jobs)
  assert.equal(countOf(given, held), 5)
  assert.equal(countOf(given, free), 50)
  assert.deepEqual(await claim(8), [])
})

test('a project runs as many as it may; the rest of its account goes on', async () => {
  const tenant = await makeTenant(admin)
  const projectId = await makeProject(admin, tenant.accountId)
  await changeLimits(admin, { accountId: tenant.accountId, projectId }, { runningJobs: 2 })
  await queueJobs(admin, { accountId: tenant.accountId, projectId }, 100, { priority: 10 })
  await queueJobs(admin, tenant, 10)
  const jobs = await claim(8)
  const inLimited = await admin.oneFirst(sql.type(row(Type.Object({ count: Type.Number() })))`
    select count(*)::int as count from jobs where project_id = ${projectId} and state = 'running'`)
  assert.deepEqual([jobs.length, inLimited], [8, 2])
})
