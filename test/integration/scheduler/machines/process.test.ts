import assert from 'node:assert/strict'
import { after, before, beforeEach, type TestContext, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { row } from '#store/row.ts'
import { createTestDatabase, type TestDatabase } from '../../../harness/database.ts'
import { createFactory, type Factory } from '../../../harness/factory.ts'
import { type HetznerStandIn, startHetzner } from '../../../harness/hetzner/stand-in.ts'
import { nodeRows, statesOf } from '../../../harness/machines/fleet.ts'
import { freePorts } from '../../../harness/ports.ts'
import { startProcess } from '../../../harness/process.ts'
import { scrape } from '../../../harness/scrape.ts'

let database: TestDatabase
let admin: DatabasePool
let make: Factory
let hetzner: HetznerStandIn

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl, 2)
  make = await createFactory(admin)
})
beforeEach(async () => {
  await admin.query(sql.unsafe`truncate nodes, enrolment_tokens, cells, scaling, jobs cascade`)
})
after(async () => {
  await admin.end()
  await database.drop()
})

async function begin(t: TestContext, env: Record<string, string> = {}) {
  const scheduler = startProcess('scheduler', {
    RGRID_DATABASE_URL: database.schedulerUrl,
    RGRID_CLOUD: 'hetzner',
    RGRID_INSTALLATION: 'test',
    RGRID_HCLOUD_URL: hetzner.url,
    RGRID_HCLOUD_TOKEN: hetzner.token,
    RGRID_HCLOUD_TYPES: 'cx23',
    RGRID_NODE_API_URL: 'https://rgrid.test',
    RGRID_PLAN_SECONDS: '0.5',
    ...env,
  })
  t.after(() => scheduler.stop())
  await scheduler.logged(/"started"/)
  return scheduler
}

async function standIn(t: TestContext) {
  hetzner = await startHetzner()
  t.after(() => hetzner.stop())
}

test('a job that waits gets a machine, whose token stands nowhere but in its user data', async (t) => {
  await standIn(t)
  hetzner.faults.add({ method: 'POST', route: '/servers', cell: { location: 'fsn1' }, error: { code: 'resource_unavailable' } })
  const address = `127.0.0.1:${(await freePorts()).RGRID_PORT_API}`
  const scheduler = await begin(t, { RGRID_METRICS_LISTEN: address })
  await make.job()
  await scheduler.logged(/machine bought/)
  const [server, ...others] = [...hetzner.world.servers.values()]
  assert.deepEqual([server?.location.name, others.length], ['nbg1', 0])
  const [node] = await nodeRows(admin)
  assert.equal(server?.name, `rgrid-test-${node?.id.slice(-12)}`)
  const token = /rgrid_enrol_\w+/.exec(server?.userData ?? '')?.[0]
  assert.ok(token)
  assert.ok(!scheduler.output().includes(token))
  const { value } = await scrape(address)
  assert.deepEqual(
    ['rgrid_machines{state="booting"}', 'rgrid_machines_bought_total', 'rgrid_cloud_calls_total{method="create",result="no_capacity"}'].map(value),
    [1, 1, 1],
  )
  assert.ok(Number(value('rgrid_machines_hour_microns')) > 0)
})

const LimitRow = row(Type.Object({ code: Type.String(), at_ms: Type.Number() }))

test('the limit of the account is told at once', async (t) => {
  await standIn(t)
  hetzner.faults.add({ method: 'POST', route: '/servers', times: 1000, error: { code: 'resource_limit_exceeded' } })
  const scheduler = await begin(t)
  await make.job()
  await scheduler.logged(/buying stops/)
  const { code, at_ms } = await admin.one(sql.type(LimitRow)`
    select shortage_code as code, (extract(epoch from shortage_since) * 1000)::float8 as at_ms from scaling`)
  const asked = hetzner.calls.find(({ method, route }) => method === 'POST' && route === '/servers')
  // Buying stops for a minute: it does not take until then.
  assert.ok(asked && at_ms - asked.atMs < 10_000, `${at_ms - (asked?.atMs ?? 0)} ms`)
  assert.equal(code, 'limit')
})

test('a scheduler that is killed is replaced by one that goes on with its machines', async (t) => {
  await standIn(t)
  const first = await begin(t)
  await make.job()
  await first.logged(/machine bought/)
  await first.kill()
  const second = await begin(t)
  await second.logged(/is the leader now/)
  for (let i = 0; i < 3; i++) await make.job()
  await second.logged(/machine bought/)
  assert.equal((await statesOf(admin)).booting, hetzner.world.servers.size)
})

for (const [missing, env] of [
  ['RGRID_HCLOUD_TOKEN', { RGRID_HCLOUD_TOKEN: '' }],
  ['RGRID_NODE_API_URL', { RGRID_NODE_API_URL: '' }],
] as const) {
  test(`without ${missing} the process says so and ends`, async (t) => {
    await standIn(t)
    await assert.rejects(begin(t, env), new RegExp(missing))
  })
}
