import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { pino } from 'pino'
import { sql } from 'slonik'
import type { DatabasePool } from '#store/pool.ts'
import { row } from '#store/row.ts'
import type { MachinePlan } from '../../../../scheduler/plan/plan.ts'
import { assertSame, enrolMachines, nodeRows, roundsUntil, statesOf } from '../../../harness/machines/fleet.ts'
import { createHttpCloud } from '../../../harness/machines/http-cloud.ts'
import { anOffer, type Provider } from '../../../harness/machines/provider.ts'
import { createRounds, planFor, type Rounds, type RoundsOptions } from '../../../harness/machines/rounds.ts'
import { type MachineWorld, openMachineWorld } from '../../../harness/machines/world.ts'

let world: MachineWorld
let admin: DatabasePool
let db: DatabasePool
let provider: Provider

before(async () => {
  world = await openMachineWorld()
  ;({ admin, db } = world)
})
beforeEach(async (t) => {
  provider = await world.fresh(t)
})
after(() => world.close())

const loopsFor = (wanted: number | (() => number), change: Partial<RoundsOptions> = {}): Rounds =>
  createRounds({
    db,
    cloud: createHttpCloud(provider.url),
    log: pino({ level: 'silent' }),
    plan: planFor(typeof wanted === 'number' ? () => wanted : wanted),
    ...change,
  })
const enrol = () => enrolMachines(admin, provider.servers, provider.userData)
const calls = (name: string) => provider.calls.get(name) ?? 0

const ScalingRow = row(
  Type.Object({
    shortage_code: Type.Union([Type.String(), Type.Null()]),
    missing_slots: Type.Number(),
    paused: Type.Boolean(),
  }),
)
const CellRow = row(Type.Object({ available: Type.Boolean(), error_code: Type.Union([Type.String(), Type.Null()]) }))
const scaling = () =>
  admin.one(sql.type(ScalingRow)`
    select shortage_code, missing_slots, coalesce(paused_until > now(), false) as paused from scaling`)
const endPause = () => admin.query(sql.unsafe`update scaling set paused_until = now() - interval '1 second'`)

test('a machine goes from a row to a node that works, and away again', async () => {
  let wanted = 1
  const loops = loopsFor(() => wanted)
  await loops.plan()
  assert.deepEqual([await statesOf(admin), provider.made.length], [{ planned: 1 }, 0], 'the row is there before the provider hears of it')
  await loops.provision()
  assert.deepEqual(await statesOf(admin), { booting: 1 })
  const [node] = await nodeRows(admin)
  assert.equal(provider.servers[0]?.name, `rgrid-test-${node?.id.slice(-12)}`)
  await loops.collect()
  assert.equal(await enrol(), 1)
  await loops.all()
  wanted = 0
  await loops.plan()
  assert.deepEqual([await statesOf(admin), loops.told], [{ draining: 1 }, [`drain ${node?.id}`]])
  await roundsUntil(admin, { gone: 1 }, loops.all)
  assert.deepEqual(provider.servers, [])
  assert.deepEqual([loops.counted.bought, loops.counted.deleted, loops.bootSeconds.length], [1, 1, 1])
})

for (const k of [1, 2]) {
  test(`when ${k} cells have nothing the machine is made in the next one, in the same round`, async () => {
    const empty = provider.offers.slice(0, k).map(({ location }) => location)
    provider.onCreate = ({ location }) => (empty.includes(location) ? { kind: 'no_capacity', code: 'resource_unavailable' } : undefined)
    const loops = loopsFor(1)
    await loops.plan()
    await loops.provision()
    assert.equal(provider.servers[0]?.location, provider.offers[k]?.location)
    assert.deepEqual(
      (await nodeRows(admin)).map(({ state, location }) => [state, location]),
      [['booting', provider.offers[k]?.location]],
    )
    const cells = await admin.any(sql.type(CellRow)`select available, error_code from cells order by place`)
    assert.deepEqual(
      cells.map(({ available, error_code }) => [available, error_code]),
      provider.offers.map(({ location }) => (empty.includes(location) ? [false, 'resource_unavailable'] : [true, null])),
    )
    // The next machine does not knock there again.
    const more = loopsFor(2)
    await more.plan()
    await more.provision()
    assert.equal(calls('create'), k + 2)
    assert.equal(await enrol(), 2)
  })
}

test('when no cell has anything the machine is given up, people are told, and it is tried again when a cell may have some', async () => {
  provider.onCreate = () => ({ kind: 'no_capacity', code: 'resource_unavailable' })
  const loops = loopsFor(1)
  await loops.plan()
  await loops.provision()
  const [node] = await nodeRows(admin)
  assert.equal(node?.state, 'failed')
  assert.match(node?.failure ?? '', /no cell has such a machine/)
  await loops.all()
  assert.deepEqual([calls('create'), (await scaling()).shortage_code], [3, 'no_cell'])
  provider.onCreate = () => undefined
  await admin.query(sql.unsafe`update cells set retry_at = now() where location = 'elsewhere'`)
  await loops.all()
  assert.equal(provider.servers[0]?.location, 'elsewhere')
})

test('at the limit of the account buying stops, people are told in the same round, and what there is is used', async () => {
  let wanted = 1
  const loops = loopsFor(() => wanted)
  await loops.all()
  await enrol()
  wanted = 0
  await loops.plan()
  assert.deepEqual(await statesOf(admin), { draining: 1 })
  wanted = 3
  provider.onCreate = () => ({ kind: 'limit', code: 'resource_limit_exceeded' })
  await loops.plan()
  assert.deepEqual([loops.told.at(-1)?.split(' ')[0], await statesOf(admin)], ['resume', { ready: 1, planned: 2 }])
  await loops.provision()
  const { shortage_code, paused } = await scaling()
  assert.deepEqual([shortage_code, paused], ['limit', true])
  const asked = calls('create')
  for (let i = 0; i < 3; i++) await loops.all()
  assert.deepEqual([calls('create'), (await scaling()).shortage_code, await statesOf(admin)], [asked, 'limit', { ready: 1, planned: 2 }])
  assert.equal((await scaling()).missing_slots, 4, 'what is only planned is not coming')
  await endPause()
  await loops.provision()
  assert.equal(calls('create'), asked + 1, 'one order is enough to know')
  provider.onCreate = () => undefined
  await endPause()
  await loops.all()
  await loops.plan()
  assert.deepEqual([await statesOf(admin), (await scaling()).shortage_code], [{ ready: 1, booting: 2 }, null])
})

for (const { kind, state, retries } of [
  { kind: 'rate_limited', state: 'planned', retries: true },
  { kind: 'away', state: 'creating', retries: true },
  { kind: 'refused', state: 'failed', retries: false },
] as const) {
  test(`a provider that says ${kind} is left alone for a while`, async () => {
    provider.onCreate = () => ({ kind, code: 'x', ...(kind === 'rate_limited' ? { retryAtMs: Date.now() + 600_000 } : {}) })
    const loops = loopsFor(1)
    await loops.plan()
    await loops.provision()
    assert.deepEqual([await statesOf(admin), (await scaling()).shortage_code, (await scaling()).paused], [{ [state]: 1 }, kind, true])
    await loops.all()
    assert.equal(calls('create'), 1)
    provider.onCreate = () => undefined
    await endPause()
    // One that had no answer is repeated only after a while: a process that starts knows nothing of that.
    const later = loopsFor(1)
    await later.all()
    assert.deepEqual(await statesOf(admin), retries ? { booting: 1 } : { failed: 1, booting: 1 })
    assert.equal(await enrol(), 1)
  })
}

test('an order whose answer was lost is met again by its name, and not repeated', async () => {
  provider.onCreate = () => ({ kind: 'unknown_outcome', done: true })
  const loops = loopsFor(2)
  await loops.plan()
  await loops.provision()
  assert.deepEqual([await statesOf(admin), provider.made.length, calls('create')], [{ booting: 2 }, 2, 2])
  assert.equal(await enrol(), 2, 'the token that the machine has is good')
})

test('an order that is repeated meets the first one, also when that shows late', async () => {
  provider.onCreate = () => ({ kind: 'unknown_outcome', done: true })
  const cloud = createHttpCloud(provider.url)
  let blind = true
  const late = { ...cloud, list: async (signal: AbortSignal) => (blind ? [] : cloud.list(signal)) }
  const first = loopsFor(1, { cloud: late })
  await first.plan()
  await first.provision()
  assert.deepEqual(await statesOf(admin), { creating: 1 })
  // Another process repeats it, with another token; the provider says that the name is taken.
  const create: typeof cloud.create = (order, signal) => {
    blind = false
    return cloud.create(order, signal)
  }
  await loopsFor(1, { cloud: { ...late, create } }).provision()
  assert.deepEqual([await statesOf(admin), provider.made.length], [{ booting: 1 }, 1])
  assert.equal(await enrol(), 1, 'the token of the first order is still good')
  assert.equal(await admin.oneFirst(sql.unsafe`select count(*)::int from enrolment_tokens where used_at is not null`), 1)
})

test('an order that is repeated and refused does not void the token of the first one, which was taken', async () => {
  provider.onCreate = () => ({ kind: 'unknown_outcome', done: true })
  const cloud = createHttpCloud(provider.url)
  let blind = true
  const late = { ...cloud, list: async (signal: AbortSignal) => (blind ? [] : cloud.list(signal)) }
  const first = loopsFor(1, { cloud: late })
  await first.plan()
  await first.provision()
  provider.onCreate = () => ({ kind: 'rate_limited', retryAtMs: Date.now() })
  await loopsFor(1, { cloud: late }).provision()
  assert.deepEqual(await statesOf(admin), { planned: 1 })
  blind = false
  await endPause()
  provider.onCreate = () => undefined
  await loopsFor(1).provision()
  assert.deepEqual([await statesOf(admin), provider.made.length, await enrol()], [{ booting: 1 }, 1, 1])
})

test('the caps hold against a plan that wants a thousand machines', async () => {
  const insane = (): MachinePlan => ({
    create: [{ offer: anOffer(), count: 1000 }],
    drain: [],
    resume: [],
    keep: [],
    remove: [],
    missingSlots: 2000,
    shortage: null,
  })
  const loops = loopsFor(0, { plan: insane, caps: { maxNodes: 3, maxHourMicrons: null } })
  for (let i = 0; i < 3; i++) await loops.all()
  assert.deepEqual([provider.made.length, (await nodeRows(admin)).length], [3, 3])
  const dearer = loopsFor(0, { plan: insane, caps: { maxNodes: 1000, maxHourMicrons: 49_999 } })
  for (let i = 0; i < 3; i++) await dearer.all()
  assert.deepEqual([provider.made.length, (await nodeRows(admin)).length], [4, 4], 'a fifth would cost more than may be spent')
})

test('rows that no plan made are not bought beyond the caps, and servers without a row count as well', async () => {
  const loops = loopsFor(5, { caps: { maxNodes: 5, maxHourMicrons: null } })
  await loops.plan()
  assert.deepEqual(await statesOf(admin), { planned: 5 })
  for (let i = 0; i < 2; i++)
    provider.servers.push({ id: `other-${i}`, name: `other-${i}`, nodeId: null, serverType: 'small', location: 'here', status: 'running', createdAtMs: 0 })
  const strict = loopsFor(5, { caps: { maxNodes: 4, maxHourMicrons: null } })
  await strict.provision()
  assert.deepEqual([await statesOf(admin), (await scaling()).shortage_code], [{ booting: 2, planned: 3 }, 'max_nodes'])
})

test('two schedulers that both believe to lead buy each machine once, and no more than may be', async () => {
  const caps = { maxNodes: 4, maxHourMicrons: null }
  const both = [loopsFor(6, { caps }), loopsFor(6, { caps })]
  for (let i = 0; i < 3; i++) await Promise.all(both.map((loops) => loops.all()))
  assert.deepEqual([new Set(provider.made).size, provider.made.length], [4, 4])
  assert.equal(await enrol(), 4)
  await assertSame(admin, provider.servers)
})

test('who does not lead does nothing', async () => {
  const loops = loopsFor(2, { isLeader: () => false })
  await loops.all()
  assert.deepEqual([await nodeRows(admin), provider.calls.size], [[], 0])
})
