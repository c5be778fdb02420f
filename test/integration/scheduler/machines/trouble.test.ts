import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { pino } from 'pino'
import { sql } from 'slonik'
import type { DatabasePool } from '#store/pool.ts'
import { row } from '#store/row.ts'
import { planMachines } from '../../../../scheduler/plan/plan-machines.ts'
import { createFactory, type Factory } from '../../../harness/factory.ts'
import { enrolMachines, nodeRows, statesOf } from '../../../harness/machines/fleet.ts'
import { createHttpCloud } from '../../../harness/machines/http-cloud.ts'
import { anOffer, type Provider } from '../../../harness/machines/provider.ts'
import { createRounds, type Rounds } from '../../../harness/machines/rounds.ts'
import { type MachineWorld, openMachineWorld } from '../../../harness/machines/world.ts'

let world: MachineWorld
let admin: DatabasePool
let db: DatabasePool
let make: Factory
let provider: Provider

before(async () => {
  world = await openMachineWorld()
  ;({ admin, db } = world)
  make = await createFactory(admin)
})
beforeEach(async (t) => {
  provider = await world.fresh(t)
})
after(() => world.close())

/** The loops with the planner that is used, at an hour of 10,000 microns for a machine of two slots. */
const loopsFor = (maxNodes: number, maxHourMicrons: number | null = null): Rounds =>
  createRounds({
    db,
    cloud: createHttpCloud(provider.url),
    log: pino({ level: 'silent' }),
    plan: planMachines,
    caps: { maxNodes, maxHourMicrons },
    policy: { maxNodes, maxHourMicrons, keep: 'hour', lifetimeSeconds: 86_400 },
  })
const jobs = async (count: number, cpu = '1') => {
  for (let i = 0; i < count; i++) await make.job({ spec: { resources: { cpu } } })
}
/** Lets so much time go by for all that is written down. */
async function later(seconds: number): Promise<void> {
  const by = sql.fragment`make_interval(secs => ${seconds})`
  await admin.query(sql.unsafe`
    update nodes set created_at = created_at - ${by}, state_at = state_at - ${by}, billed_from = billed_from - ${by}, billed_until = billed_until - ${by},
      ended_at = ended_at - ${by}, enrolled_at = enrolled_at - ${by}`)
  await admin.query(sql.unsafe`update scaling set paused_until = paused_until - ${by}, bought_at = bought_at - ${by}`)
}
/** What is bought until `seconds` have gone by and nothing came up, with rounds each minute. */
async function buyInVain(loops: Rounds, seconds: number): Promise<void> {
  for (let s = 0; s < seconds; s += 60) {
    await loops.all()
    await later(60)
  }
}
const ScalingRow = row(
  Type.Object({ code: Type.Union([Type.String(), Type.Null()]), detail: Type.Union([Type.String(), Type.Null()]), paused: Type.Boolean() }),
)
const scaling = () =>
  admin.one(sql.type(ScalingRow)`
    select shortage_code as code, shortage_detail as detail, coalesce(paused_until > now(), false) as paused from scaling`)

test('an hour that is paid for a machine that ended is spent: no other one is bought beyond what an hour may cost', async () => {
  await jobs(4)
  const loops = loopsFor(10, 20_000)
  await buyInVain(loops, 600)
  assert.deepEqual([await statesOf(admin), provider.made.length], [{ failed: 2 }, 2])
  assert.equal((await scaling()).code, 'max_spend')
  await later(3000)
  await loops.all()
  assert.deepEqual(await statesOf(admin), { failed: 2, booting: 2 })
})

test('where seconds are paid, what ended costs nothing more', async () => {
  await jobs(2)
  const loops = loopsFor(10, 10_000)
  await loops.all()
  await admin.query(sql.unsafe`update prices set billing = 'second'`)
  await buyInVain(loops, 540)
  assert.equal(provider.made.length, 2)
})

test('when machines do not come up buying rests, longer each time, and then one is tried; the first that comes up ends it', async () => {
  await jobs(12)
  const loops = loopsFor(3)
  await buyInVain(loops, 480)
  assert.deepEqual([await statesOf(admin), provider.made.length], [{ failed: 3 }, 3])
  const { code, detail, paused } = await scaling()
  assert.deepEqual([code, detail, paused], ['boot_failing', '3 machines in a row did not come up; the last: did not enrol within 300 s', true])
  await buyInVain(loops, 600)
  assert.equal(provider.made.length, 4, 'one is tried')
  await buyInVain(loops, 3600)
  assert.ok(provider.made.length <= 7, `${provider.made.length} in 76 minutes`)
  for (let i = 0; i < 120 && !provider.servers.some(({ status }) => status === 'running'); i++) {
    await later(60)
    await loops.all()
  }
  assert.equal(await enrolMachines(admin, provider.servers, provider.userData), 1)
  await loops.all()
  assert.deepEqual([(await statesOf(admin)).ready, (await statesOf(admin)).booting], [1, 2])
  assert.notEqual((await scaling()).code, 'boot_failing')
})

test('what was planned and not ordered yet goes when buying rests', async () => {
  await jobs(8)
  const loops = loopsFor(4)
  await loops.plan()
  provider.onCreate = () => (provider.made.length >= 3 ? { kind: 'away' } : undefined)
  await loops.provision()
  await admin.query(sql.unsafe`update nodes set state = 'planned' where state = 'creating'`)
  await later(301)
  await loops.collect()
  await loops.plan()
  const rows = await nodeRows(admin)
  assert.equal(rows.filter(({ state }) => state === 'planned').length, 0)
  assert.match(rows.find(({ server_id }) => server_id === null)?.failure ?? '', /^not ordered: 3 machines in a row did not come up/)
})

test('a machine whose cell has nothing takes no dearer one beyond the cap, and keeps no other from being bought', async () => {
  provider.offers = [
    anOffer({ serverType: 'four', slots: 4, hourMicrons: 20_000 }),
    anOffer({ serverType: 'eight', slots: 8, hourMicrons: 80_000 }),
    anOffer({ serverType: 'two', slots: 2, hourMicrons: 10_000 }),
  ]
  provider.onCreate = ({ serverType }) => (serverType === 'four' ? { kind: 'no_capacity', code: 'resource_unavailable' } : undefined)
  await jobs(1, '4')
  await jobs(2)
  const loops = loopsFor(10, 40_000)
  for (let i = 0; i < 3; i++) await loops.all()
  // Two that are planned in the same millisecond have ids in any order.
  const rows = [...(await nodeRows(admin))].sort((a, b) => a.server_type.localeCompare(b.server_type))
  assert.deepEqual(
    rows.map(({ state, server_type }) => [state, server_type]),
    [
      ['failed', 'four'],
      ['booting', 'two'],
    ],
  )
  assert.match(rows[0]?.failure ?? '', /40000 is the limit/)
  assert.equal((await scaling()).paused, false)
})

const PriceRow = row(Type.Object({ hour_microns: Type.Number() }))

test('a cell without a price is not bought, and the price that it had holds', async () => {
  await jobs(2)
  provider.offers = [anOffer()]
  await loopsFor(10).all()
  const [offer] = provider.offers
  assert.ok(offer)
  provider.offers = [{ ...offer, available: false, hourMicrons: null, error: { code: 'no_price', message: 'no price', retryAtMs: null } }]
  await jobs(2)
  const loops = loopsFor(10)
  await loops.all()
  assert.equal(provider.made.length, 1)
  assert.deepEqual(await admin.anyFirst(sql.type(PriceRow)`select hour_microns from prices where valid_until is null`), [10_000])
  assert.deepEqual(await admin.anyFirst(sql.unsafe`select hour_microns from cells`), [null])
  assert.equal((await nodeRows(admin)).length, 1)
})

test('no machine of an architecture that no image has is bought, not for the minimum and not for the buffer either', async () => {
  provider.offers = [anOffer({ available: false }), anOffer({ serverType: 'arm', arch: 'arm64', hourMicrons: 5000 })]
  const loops = createRounds({
    db,
    cloud: createHttpCloud(provider.url),
    log: pino({ level: 'silent' }),
    plan: planMachines,
    policy: { minNodes: 1, warmSlots: 2 },
  })
  await loops.all()
  assert.deepEqual([provider.made.length, (await scaling()).code], [0, 'no_cell'])
})
