import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { pino } from 'pino'
import { sql } from 'slonik'
import { type ClaimStore, createClaimStore } from '#store/claims.ts'
import { startDeleting } from '#store/machines.ts'
import { setDrain } from '#store/nodes.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { row } from '#store/row.ts'
import { createClaims } from '../../../../scheduler/claims.ts'
import { createTestDatabase, type TestDatabase } from '../../../harness/database.ts'
import { createFactory, type Factory } from '../../../harness/factory.ts'
import { startHetzner } from '../../../harness/hetzner/stand-in.ts'
import { assertSame, enrolMachines, nodeRows, roundsUntil, statesOf } from '../../../harness/machines/fleet.ts'
import { createHetznerCloud } from '../../../harness/machines/hetzner-cloud.ts'
import { createHttpCloud } from '../../../harness/machines/http-cloud.ts'
import { type Provider, startProvider } from '../../../harness/machines/provider.ts'
import { createRounds, planFor, type Rounds } from '../../../harness/machines/rounds.ts'

const log = pino({ level: 'silent' })
let database: TestDatabase
let admin: DatabasePool
let db: DatabasePool
let store: ClaimStore
let make: Factory
let provider: Provider

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl, 4)
  db = await createDbPool(database.schedulerUrl, 4)
  store = createClaimStore(database.schedulerUrl)
  make = await createFactory(admin)
  provider = await startProvider()
})
beforeEach(async () => {
  await admin.query(sql.unsafe`truncate nodes, enrolment_tokens, cells, scaling, jobs cascade`)
  Object.assign(provider, { servers: [], leftovers: [], made: [], onCall: () => undefined, onCreate: () => undefined })
  provider.calls.clear()
})
after(async () => {
  await provider.close()
  await store.close()
  await Promise.all([admin.end(), db.end()])
  await database.drop()
})

const loopsFor = (wanted: number): Rounds => createRounds({ db, cloud: createHttpCloud(provider.url), log, plan: planFor(() => wanted) })
const enrol = () => enrolMachines(admin, provider.servers, provider.userData)
const claim = (nodeId: string) => createClaims(store, log).claim(nodeId, { slots: 2, memoryBytes: 2 ** 32 })
const calls = (name: string) => provider.calls.get(name) ?? 0

async function aReadyNode(loops: Rounds): Promise<string> {
  await loops.all()
  await enrol()
  const [node] = (await nodeRows(admin)).filter(({ state }) => state === 'ready')
  assert.ok(node)
  return node.id
}
const backdate = () => admin.query(sql.unsafe`update nodes set state_at = now() - interval '1 hour' where ended_at is null`)

test('a machine that does not enrol in time is deleted, and replaced', async () => {
  const loops = loopsFor(1)
  await loops.all()
  await backdate()
  await roundsUntil(admin, { failed: 1, booting: 1 }, loops.all)
  const [late, next] = await nodeRows(admin)
  assert.deepEqual([late?.state, next?.state], ['failed', 'booting'])
  assert.match(late?.failure ?? '', /did not enrol within 300 s/)
  assert.equal(await enrol(), 1)
  await assertSame(admin, provider.servers)
})

test('a node that stays lost is deleted, and replaced', async () => {
  const loops = loopsFor(1)
  const nodeId = await aReadyNode(loops)
  await admin.query(sql.unsafe`update nodes set state = 'lost' where id = ${nodeId}`)
  await loops.collect()
  assert.equal((await statesOf(admin)).lost, 1, 'it may come back')
  await backdate()
  await roundsUntil(admin, { gone: 1, booting: 1 }, loops.all)
  await assertSame(admin, provider.servers)
})

test('an order that failed after it was taken is removed, its cell is left alone, and the next one is asked', async () => {
  const loops = loopsFor(1)
  await loops.all()
  Object.assign(provider.servers[0] ?? {}, { failure: { code: 'placement_error', message: 'no host' } })
  await roundsUntil(admin, { failed: 1, booting: 1 }, loops.all)
  assert.deepEqual(
    (await nodeRows(admin)).map(({ state, location }) => [state, location]),
    [
      ['failed', 'here'],
      ['booting', 'there'],
    ],
  )
})

test('a machine that switched itself off is deleted', async () => {
  const loops = loopsFor(0)
  const nodeId = await aReadyNode(loopsFor(1))
  for (const server of provider.servers) server.status = 'off'
  for (let i = 0; i < 3; i++) await loops.sweep()
  assert.deepEqual(await statesOf(admin), { ready: 1 }, 'the lease reaper says first that it is lost')
  await admin.query(sql.unsafe`update nodes set state = 'lost' where id = ${nodeId}`)
  await roundsUntil(admin, { deleting: 1 }, loops.sweep)
  await roundsUntil(admin, { gone: 1 }, loops.collect)
  assert.deepEqual(provider.servers, [])
})

test('a lost node whose server is gone ends at once', async () => {
  const nodeId = await aReadyNode(loopsFor(1))
  provider.servers = []
  await admin.query(sql.unsafe`update nodes set state = 'lost' where id = ${nodeId}`)
  const loops = loopsFor(0)
  await roundsUntil(admin, { deleting: 1 }, loops.sweep)
  await loops.collect()
  assert.deepEqual([await statesOf(admin), calls('remove')], [{ gone: 1 }, 1])
})

test('a server that no node knows is deleted at the second sweep, and so is an address that belongs to nothing', async () => {
  await aReadyNode(loopsFor(1))
  provider.servers.push({ id: 'stray', name: 'stray', nodeId: null, serverType: 'small', location: 'here', status: 'running', createdAtMs: 0 })
  provider.leftovers = [{ kind: 'address', id: 'ip', name: 'ip', createdAtMs: 0 }]
  const loops = loopsFor(1)
  await loops.sweep()
  assert.deepEqual([calls('remove'), calls('removeLeftover')], [0, 0])
  await loops.sweep()
  await loops.collect()
  assert.deepEqual([calls('remove'), calls('removeLeftover'), loops.counted.server, loops.counted.address], [1, 1, 1, 1])
  await loops.sweep()
  await loops.collect()
  await assertSame(admin, provider.servers)
  assert.equal(calls('remove'), 1)
})

test('what the provider refuses to delete is tried again, and holds up nothing else', async () => {
  await loopsFor(2).all()
  await enrol()
  let busy = 1
  provider.onCall = (call) => (call === 'remove' && busy-- > 0 ? { kind: 'busy', code: 'locked' } : undefined)
  const loops = loopsFor(0)
  await roundsUntil(admin, { gone: 2 }, loops.all)
  assert.deepEqual(provider.servers, [])
})

test('a deletion waits for no listing, and a machine is gone only when a listing lacks it', async () => {
  await loopsFor(2).all()
  await enrol()
  provider.onCall = (call) => (call === 'list' ? { kind: 'rate_limited', retryAtMs: Date.now() + 600_000 } : undefined)
  const loops = loopsFor(0)
  for (let i = 0; i < 5; i++) await loops.all()
  assert.deepEqual([await statesOf(admin), calls('remove')], [{ deleting: 2 }, 2])
  provider.onCall = () => undefined
  await roundsUntil(admin, { gone: 2 }, loopsFor(0).all)
  assert.deepEqual([provider.servers, calls('remove')], [[], 2])
})

test('when others have used up the calls but those that are kept for deletions, machines are deleted all the same', async (t) => {
  const hetzner = await startHetzner()
  t.after(() => hetzner.stop())
  const loops = (wanted: number) => createRounds({ db, cloud: createHetznerCloud(hetzner.url, hetzner.token), log, plan: planFor(() => wanted) })
  await loops(2).all()
  assert.equal(hetzner.world.servers.size, 2)
  const ending = loops(0)
  hetzner.rate.leave(0.05 * Number(hetzner.rate.headers()['RateLimit-Limit']))
  await ending.plan()
  const before = hetzner.calls.length
  for (let i = 0; i < 3; i++) await ending.collect()
  hetzner.settle()
  const made = hetzner.calls.slice(before).map(({ method }) => method)
  assert.deepEqual([await statesOf(admin), hetzner.world.servers.size, made], [{ deleting: 2 }, 0, ['DELETE', 'DELETE']])
})

test('a machine whose order was never answered is looked for before it is deleted', async () => {
  const loops = loopsFor(1)
  await loops.plan()
  await admin.query(sql.unsafe`update nodes set state = 'creating'`)
  await backdate()
  provider.onCall = (call) => (call === 'list' ? { kind: 'away' } : undefined)
  await loops.collect()
  assert.deepEqual([await statesOf(admin), calls('remove')], [{ deleting: 1 }, 0])
})

test('a deletion that is not taken is asked for again after a while, or at the time that the provider says', async () => {
  await loopsFor(1).all()
  await enrol()
  let retryAtMs: number | undefined
  provider.onCall = (call) => (call === 'remove' ? { kind: 'busy', code: 'locked', ...(retryAtMs === undefined ? {} : { retryAtMs }) } : undefined)
  const loops = createRounds({ db, cloud: createHttpCloud(provider.url), log, plan: planFor(() => 0), patience: { againSeconds: 600 } })
  for (let i = 0; i < 4; i++) await loops.all()
  assert.equal(calls('remove'), 1)
  retryAtMs = Date.now()
  const others = createRounds({ db, cloud: createHttpCloud(provider.url), log, plan: planFor(() => 0), patience: { againSeconds: 600 } })
  for (let i = 0; i < 3; i++) await others.collect()
  assert.equal(calls('remove'), 4)
})

test('a node with a job is kept, whatever the plan says', async () => {
  const nodeId = await aReadyNode(loopsFor(1))
  await make.job()
  assert.equal((await claim(nodeId)).length, 1)
  const remove = { nodeId, reason: 'away with it' }
  const loops = createRounds({
    db,
    cloud: createHttpCloud(provider.url),
    log,
    plan: () => ({ create: [], drain: [], resume: [], keep: [], remove: [remove], missingSlots: 0, shortage: null }),
  })
  await loops.all()
  assert.deepEqual([await statesOf(admin), calls('remove')], [{ ready: 1 }, 0])
})

const WaitingRow = row(Type.Object({ waiting: Type.Boolean() }))
const someoneWaits = () =>
  admin.oneFirst(sql.type(WaitingRow)`
    select exists (select 1 from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock') as waiting`)

test('a claim that is not committed yet keeps its node', async () => {
  const nodeId = await aReadyNode(loopsFor(1))
  const jobId = await make.job()
  const [locked, waited] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  // As a claim does: the node's row is locked, then the attempt is written.
  const claimed = admin.transaction(async (tx) => {
    await tx.query(sql.unsafe`select 1 from nodes where id = ${nodeId} for no key update`)
    locked.resolve()
    await waited.promise
    await tx.query(sql.unsafe`
      insert into attempts (id, account_id, job_id, number, node_id, lease_token, slots, memory_bytes, state)
      values ('att_race', ${make.accountId}, ${jobId}, 1, ${nodeId}, 'x', 1, 1, 'assigned')`)
  })
  await locked.promise
  const deleted = db.transaction((tx) => startDeleting(tx, nodeId, ['ready'], { verdict: 'test' }))
  while (!(await someoneWaits()));
  waited.resolve()
  await claimed
  assert.equal(await deleted, false)
  assert.deepEqual(await statesOf(admin), { ready: 1 })
})

test('a node that is being deleted is given no work', async () => {
  const nodeId = await aReadyNode(loopsFor(1))
  await make.job()
  assert.equal(await db.transaction((tx) => startDeleting(tx, nodeId, ['ready'], { verdict: 'test' })), true)
  assert.deepEqual(await claim(nodeId), [])
})

test('the planner takes back its own drains, and nobody else’s', async () => {
  const nodeId = await aReadyNode(loopsFor(1))
  await loopsFor(0).plan()
  const back = loopsFor(1)
  await back.plan()
  assert.deepEqual([await statesOf(admin), back.told], [{ ready: 1 }, [`resume ${nodeId}`]])
  await setDrain(admin, nodeId, true)
  await back.plan()
  assert.deepEqual([await statesOf(admin), back.told.length], [{ draining: 1 }, 1])
  // Asked for by somebody while it was the planner's.
  await setDrain(admin, nodeId, false)
  await loopsFor(0).plan()
  await setDrain(admin, nodeId, true)
  await back.plan()
  assert.deepEqual(await statesOf(admin), { draining: 1 })
})
