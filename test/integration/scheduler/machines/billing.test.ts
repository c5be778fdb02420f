import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { pino } from 'pino'
import { sql } from 'slonik'
import { adoptOrphan } from '#store/orphans.ts'
import type { DatabasePool } from '#store/pool.ts'
import { row } from '#store/row.ts'
import type { Server } from '../../../../scheduler/cloud/cloud.ts'
import { closeHours } from '../../../../scheduler/cost/closer.ts'
import { enrolMachines, nodeRows, roundsUntil, statesOf } from '../../../harness/machines/fleet.ts'
import { createHttpCloud } from '../../../harness/machines/http-cloud.ts'
import type { Provider } from '../../../harness/machines/provider.ts'
import { createRounds, planFor } from '../../../harness/machines/rounds.ts'
import { type MachineWorld, openMachineWorld } from '../../../harness/machines/world.ts'

const HOUR_MICRONS = 10_000
const HOUR_MS = 3_600_000
const forever = new AbortController().signal
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

const loopsFor = (wanted: number) => createRounds({ db, cloud: createHttpCloud(provider.url), log: pino({ level: 'silent' }), plan: planFor(() => wanted) })

const SumRow = row(Type.Object({ hours: Type.Number(), paid: Type.Number(), idle: Type.Number() }))
async function closed(): Promise<{ hours: number; paid: number; idle: number }> {
  await closeHours(db, forever)
  return admin.one(sql.type(SumRow)`
    select count(*)::int as hours, coalesce(sum(paid_microns), 0)::bigint as paid, coalesce(sum(idle_microns), 0)::bigint as idle from node_hours`)
}
const hours = (count: number) => ({ hours: count, paid: count * HOUR_MICRONS, idle: count * HOUR_MICRONS })

/** As if so many minutes had passed. */
async function pass(minutes: number): Promise<void> {
  const ago = sql.fragment`make_interval(mins => ${minutes})`
  await admin.query(sql.unsafe`
    update nodes set created_at = created_at - ${ago}, billed_from = billed_from - ${ago}, billed_until = billed_until - ${ago}, ended_at = ended_at - ${ago},
      state_at = state_at - ${ago}`)
  await admin.query(sql.unsafe`update prices set valid_from = valid_from - ${ago}, valid_until = valid_until - ${ago}`)
  for (const server of provider.servers) server.createdAtMs -= minutes * 60_000
}

/** A node that is to go; what its provider does with the order is the test's. */
async function aNodeToGo(ageMinutes: number) {
  await loopsFor(1).all()
  await enrolMachines(admin, provider.servers, provider.userData)
  await pass(ageMinutes)
  const loops = loopsFor(0)
  await loops.plan()
  await loops.plan()
  assert.deepEqual(await statesOf(admin), { deleting: 1 })
  return loops
}

const aStray = (change: Partial<Server> = {}): Server => ({
  ...{ id: 'stray', name: 'stray', nodeId: null, serverType: 'small', location: 'here', status: 'running', createdAtMs: Date.now() },
  ...change,
})

test('the last hour waits until the machine is gone, and ends when the order to delete it was taken', async () => {
  const loops = await aNodeToGo(58)
  provider.onCall = (call) => (call === 'list' ? { kind: 'away' } : undefined)
  await loops.collect()
  await pass(10)
  assert.deepEqual(await closed(), hours(0), 'nobody knows yet whether it went within its hour')
  provider.onCall = () => undefined
  provider.servers = []
  await loops.collect()
  assert.deepEqual([await statesOf(admin), await closed()], [{ gone: 1 }, hours(1)])
})

for (const status of ['deleting', 'running'] as const) {
  test(`a deletion that was taken and after which the machine is listed as ${status} is booked until it is gone`, async () => {
    const loops = await aNodeToGo(50)
    // It takes the order, and nothing comes of it.
    const [server] = provider.servers
    assert.ok(server)
    const hang = () => {
      provider.servers = [{ ...server, status }]
    }
    provider.onCall = (call) => {
      if (call === 'list') hang()
      return undefined
    }
    await loops.collect()
    for (let hour = 0; hour < 3; hour++) {
      await pass(60)
      await loops.collect()
      await loops.collect()
      assert.deepEqual(await closed(), hours(hour + 1))
    }
    assert.ok((provider.calls.get('remove') ?? 0) >= 4, 'it is ordered again')
    provider.onCall = () => undefined
    provider.servers = []
    await loops.collect()
    await pass(2)
    assert.deepEqual([await statesOf(admin), await closed()], [{ gone: 1 }, hours(4)])
    await pass(120)
    assert.deepEqual(await closed(), hours(4))
  })
}

test('a machine that still is there and whose deletion is refused is booked on', async () => {
  const loops = await aNodeToGo(50)
  await loops.collect()
  provider.onCall = (call) => {
    for (const server of provider.servers) server.status = 'running'
    return call === 'remove' ? { kind: 'refused', code: 'protected' } : undefined
  }
  provider.servers = [aStray({ id: (await nodeRows(admin))[0]?.server_id ?? '' })]
  await pass(135)
  for (let i = 0; i < 3; i++) await loops.collect()
  assert.deepEqual(await closed(), hours(3))
})

test('a server that no node knows is booked as idle from when it was made, and deleted', async () => {
  await loopsFor(0).all()
  await pass(200)
  provider.servers.push(aStray({ createdAtMs: Date.now() - 1.5 * HOUR_MS }))
  const loops = loopsFor(0)
  await roundsUntil(admin, { failed: 1 }, loops.all)
  assert.deepEqual(provider.servers, [])
  const [node] = await nodeRows(admin)
  assert.deepEqual([node?.server_type, node?.location, node?.server_id], ['small', 'here', 'stray'])
  assert.match(node?.failure ?? '', /no node knew/)
  await pass(2)
  assert.deepEqual([await closed(), loops.counted.server], [hours(2), 1])
  for (let i = 0; i < 4; i++) await loops.all()
  assert.deepEqual([await statesOf(admin), await closed()], [{ failed: 1 }, hours(2)])
})

test('a server of a kind that is offered no more has the price of its kind elsewhere, or the dearest that is known', async () => {
  await loopsFor(0).all()
  provider.servers.push(aStray({ location: 'nowhere' }), aStray({ id: 'other', serverType: 'unknown', name: 'other' }))
  await roundsUntil(admin, { failed: 2 }, loopsFor(0).all)
  await pass(2)
  assert.deepEqual(await closed(), hours(2))
})

for (const [what, createdAtMs] of [
  ['in 1970', 0],
  ['next year', Date.now() + 365 * 24 * HOUR_MS],
  ['at a time that is none', Number.NaN],
] as const) {
  test(`a server that no node knows and that was made ${what} is not booked from before anything could be bought`, async () => {
    await loopsFor(0).all()
    provider.servers.push(aStray({ createdAtMs }))
    await roundsUntil(admin, { failed: 1 }, loopsFor(0).all)
    await pass(2)
    assert.deepEqual(await closed(), hours(1))
  })
}

test('a machine that was taken for gone and shows again is booked on where its hours ended, none of them twice', async () => {
  await loopsFor(1).all()
  await enrolMachines(admin, provider.servers, provider.userData)
  const [server] = provider.servers
  assert.ok(server)
  await pass(70)
  provider.servers = []
  await admin.query(sql.unsafe`update nodes set state = 'lost'`)
  await roundsUntil(admin, { gone: 1 }, loopsFor(0).all)
  await pass(2)
  assert.deepEqual(await closed(), hours(2))
  provider.servers = [{ ...server }]
  await roundsUntil(admin, { gone: 1, failed: 1 }, loopsFor(0).all)
  await pass(2)
  assert.deepEqual(await closed(), hours(2), 'within the hour that is paid')
  provider.servers = [{ ...server }]
  await pass(60)
  await roundsUntil(admin, { gone: 1, failed: 2 }, loopsFor(0).all)
  await pass(2)
  assert.deepEqual(await closed(), hours(3))
})

const SpanRow = row(Type.Object({ from_minutes: Type.Number(), next_hour: Type.Number() }))

test('where seconds are paid, one that shows again is booked from the second at which its row ended', async () => {
  await loopsFor(1).all()
  await pass(70)
  const [first] = await nodeRows(admin)
  await admin.query(sql.unsafe`update nodes set state = 'failed', billed_until = now() - interval '20 minutes'`)
  const stray = aStray({ id: first?.server_id ?? '' })
  const nodeId = await db.transaction((tx) => adoptOrphan(tx, { provider: 'test', billing: 'second' }, 'default', stray))
  assert.equal(await db.transaction((tx) => adoptOrphan(tx, { provider: 'test', billing: 'second' }, 'default', stray)), undefined, 'it has a row')
  const span = await admin.one(sql.type(SpanRow)`
    select round(extract(epoch from now() - billed_from) / 60)::int as from_minutes, next_hour from nodes where id = ${nodeId ?? ''}`)
  assert.deepEqual(span, { from_minutes: 20, next_hour: 0 })
})
