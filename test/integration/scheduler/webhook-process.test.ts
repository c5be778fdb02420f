import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql } from 'slonik'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'
import { startProcess, type TestProcess } from '../../harness/process.ts'
import { type Receiver, startReceiver } from '../../harness/receiver.ts'
import { anEndpoint, aSecret, deliveriesOf, tell } from '../../harness/webhooks.ts'

let database: TestDatabase
let admin: DatabasePool
let make: Factory
let receiver: Receiver
const running: TestProcess[] = []

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl, 2)
  make = await createFactory(admin)
  receiver = await startReceiver()
})
after(async () => {
  await Promise.all(running.map((one) => one.stop()))
  await receiver?.stop()
  await admin.end()
  await database.drop()
})

function start(env: Record<string, string> = {}): TestProcess {
  const one = startProcess('scheduler', { RGRID_DATABASE_URL: database.schedulerUrl, RGRID_WEBHOOK_ALLOW: `127.0.0.1:${receiver.port}`, ...env })
  running.push(one)
  return one
}

test('a scheduler that is killed while it sends loses nothing: another sends it when the claim is over', async () => {
  const secret = aSecret()
  receiver.expect('/hook', [secret], (response, nth) => nth > 1 && response.writeHead(200).end())
  const endpoint = await anEndpoint(admin, make, { url: receiver.url('/hook'), secrets: [secret] })
  const jobId = await make.job()
  await tell(admin, make, jobId, ['job.started', 'job.succeeded'])
  const first = start()
  await receiver.until(() => receiver.received.length === 1)
  await first.kill()
  assert.deepEqual(
    (await deliveriesOf(admin, endpoint)).map((one) => [one.type, one.state, one.claimed]),
    [
      ['job.started', 'pending', true],
      ['job.succeeded', 'pending', false],
    ],
  )
  // As if the time of the claim had passed.
  await admin.query(sql.unsafe`update webhook_deliveries set claimed_until = now() where claimed_until is not null`)
  const second = start()
  await receiver.until(() => receiver.received.length === 3)
  assert.equal(await second.stop(), 0)
  assert.deepEqual(
    receiver.received.map((one) => one.type),
    ['job.started', 'job.started', 'job.succeeded'],
  )
  assert.equal(receiver.received[0]?.id, receiver.received[1]?.id)
  assert.deepEqual(new Set((await deliveriesOf(admin, endpoint)).map((one) => one.state)), new Set(['delivered']))
  assert.deepEqual(receiver.faults, [])
  for (const { output } of running) assert.ok(!output().includes(secret.slice(6)), 'no secret in a log')
})

test('a wrong list of networks or ports is a fault of the configuration', async () => {
  for (const [name, value] of [
    ['RGRID_WEBHOOK_ALLOW', 'intranet'],
    ['RGRID_WEBHOOK_PORTS', '80,http'],
  ] as const) {
    const scheduler = start({ [name]: value })
    assert.equal(await scheduler.ended, 1)
    assert.match(scheduler.output(), new RegExp(`${name}: "(intranet|http)" is not`))
  }
})
