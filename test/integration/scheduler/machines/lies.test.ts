import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { pino } from 'pino'
import { sql } from 'slonik'
import { recordServer } from '#store/machines.ts'
import type { DatabasePool } from '#store/pool.ts'
import { row } from '#store/row.ts'
import { closeHours } from '../../../../scheduler/cost/closer.ts'
import { enrolMachines, nodeRows, roundsUntil, statesOf } from '../../../harness/machines/fleet.ts'
import { createHttpCloud } from '../../../harness/machines/http-cloud.ts'
import type { Provider } from '../../../harness/machines/provider.ts'
import { createRounds, planFor } from '../../../harness/machines/rounds.ts'
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

const loopsFor = (wanted: () => number, maxNodes = 10) =>
  createRounds({
    db,
    cloud: createHttpCloud(provider.url),
    log: pino({ level: 'silent' }),
    plan: planFor(wanted),
    caps: { maxNodes, maxHourMicrons: null },
  })

for (const [what, createdAtMs] of [
  ['in 1970', 0],
  ['a year ago', Date.now() - 365 * 86_400_000],
  ['next year', Date.now() + 365 * 86_400_000],
  ['at a time that is none', Number.NaN],
] as const) {
  test(`a machine that its provider says was made ${what} is paid for from its order on`, async () => {
    const loops = loopsFor(() => 1)
    await loops.plan()
    const [planned] = await nodeRows(admin)
    assert.ok(planned)
    await admin.query(sql.unsafe`update nodes set state = 'creating'`)
    const server = { id: '1', serverType: 'small', location: 'here', createdAtMs, hourMicrons: 10_000 }
    assert.equal(await db.transaction((tx) => recordServer(tx, planned.id, server, null)), true)
    const { sane } = await admin.one(sql.type(row(Type.Object({ sane: Type.Boolean() })))`
      select billed_from between created_at and now() as sane from nodes where id = ${planned.id}`)
    assert.equal(sane, true)
    // No hour of it is over.
    assert.equal(await closeHours(db, new AbortController().signal), 0)
  })
}

test('a provider that lists nothing for a while makes two schedulers buy no more than may be', async () => {
  const both = [loopsFor(() => 6, 3), loopsFor(() => 6, 3)]
  await Promise.all(both.map((loops) => loops.all()))
  const servers = provider.servers
  assert.equal(await enrolMachines(admin, servers, provider.userData), 3)
  provider.servers = []
  for (let i = 0; i < 4; i++) await Promise.all(both.map((loops) => loops.all()))
  assert.deepEqual([await statesOf(admin), provider.made.length], [{ ready: 3 }, 3])
  provider.servers = servers
  for (let i = 0; i < 4; i++) await Promise.all(both.map((loops) => loops.all()))
  assert.deepEqual([await statesOf(admin), provider.servers.length], [{ ready: 3 }, 3])
})

test('two servers of one name: one is the node’s, the other one is deleted', async () => {
  const loops = loopsFor(() => 1)
  await loops.plan()
  await loops.provision()
  const [first] = provider.servers
  assert.ok(first)
  provider.servers = [{ ...first, id: 'twin' }, first]
  for (let i = 0; i < 4; i++) await loops.all()
  assert.deepEqual([provider.servers.map(({ id }) => id), await statesOf(admin)], [[first.id], { booting: 1, failed: 1 }])
})

test('a machine that its provider never deletes is asked to again and again, and is not replaced beyond the cap', async () => {
  let wanted = 1
  const loops = loopsFor(() => wanted, 1)
  await loops.plan()
  await loops.provision()
  assert.equal(await enrolMachines(admin, provider.servers, provider.userData), 1)
  provider.onCall = (call) => (call === 'remove' ? { kind: 'refused', code: 'protected' } : undefined)
  wanted = 0
  await roundsUntil(admin, { deleting: 1 }, loops.all)
  wanted = 1
  for (let i = 0; i < 5; i++) await loops.all()
  assert.deepEqual([await statesOf(admin), provider.made.length], [{ deleting: 1 }, 1])
  const { paying } = await admin.one(sql.type(row(Type.Object({ paying: Type.Boolean() })))`select billed_until is null as paying from nodes`)
  assert.equal(paying, true)
  provider.onCall = () => undefined
  await roundsUntil(admin, { gone: 1, booting: 1 }, loops.all)
})
