import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import { sql } from 'slonik'
import type { Bus } from '#bus/bus.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { claimDeliveries, type DeliveryLane, type DeliveryRoom, releaseDeliveries } from '#store/webhook-deliveries.ts'
import { recordTry } from '#store/webhook-results.ts'
import { createRelay } from '../../../scheduler/relay.ts'
import { createResolve } from '../../../scheduler/webhooks/resolve.ts'
import { createSender, type Send } from '../../../scheduler/webhooks/send.ts'
import { createWebhooks, type WebhookOptions } from '../../../scheduler/webhooks/worker.ts'
import { serviceBus } from '../../harness/bus.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'
import { type Receiver, startReceiver } from '../../harness/receiver.ts'
import { testSealer } from '../../harness/secret-keys.ts'
import { anEndpoint, aSecret, deliveriesOf, sealedSecret, tell, triesOf } from '../../harness/webhooks.ts'

/** Room for everything. */
const ROOM: DeliveryRoom = { slots: 100, accountSlots: 100, accounts: [], unprovenSlots: 100, slowSlots: 100, destinations: [] }
const log = pino({ level: 'silent' })
let database: TestDatabase
let admin: DatabasePool
let db: DatabasePool
let bus: Bus
let make: Factory
let receiver: Receiver
let send: Send

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl)
  db = await createDbPool(database.schedulerUrl)
  bus = await serviceBus()
  make = await createFactory(admin)
})
beforeEach(async () => {
  await admin.query(sql.unsafe`truncate webhook_endpoints, jobs, batches, events, outbox cascade`)
  await receiver?.stop()
  receiver = await startReceiver()
  send = createSender({ ports: [], allowed: [{ cidr: '127.0.0.1/32', port: receiver.port }], resolve: createResolve() })
})
after(async () => {
  await receiver?.stop()
  await bus.close()
  await Promise.all([db.end(), admin.end()])
  await database.drop()
})

/** A worker that tries again at once, up to so many times. */
const aWorker = (change: Partial<WebhookOptions> = {}) =>
  createWebhooks({ db, bus, log, send, sealer: testSealer, disableDays: 5, pauseMs: (failed) => (failed < 10 ? 0 : undefined), ...change })

/** An endpoint at a path of the receiver, that is verified with these secrets. */
async function at(path: string, change: { secrets?: string[]; events?: string[]; behaviour?: Parameters<Receiver['expect']>[2] } = {}): Promise<string> {
  const secrets = change.secrets ?? [aSecret()]
  receiver.expect(path, secrets, change.behaviour)
  return anEndpoint(admin, make, { url: receiver.url(path), secrets, ...(change.events ? { events: change.events } : {}) })
}

/** Runs workers until the receiver has seen what is waited for and every result is written. */
async function deliver(until: () => boolean, ...workers: ReturnType<typeof aWorker>[]): Promise<void> {
  const all = workers.length > 0 ? workers : [aWorker()]
  for (const worker of all) await worker.start()
  await receiver.until(until).finally(() => Promise.all(all.map((worker) => worker.stop())))
  assert.deepEqual(receiver.faults, [])
}

test('a delivery is signed with both secrets while one takes over from the other, and never with one that has expired', async () => {
  const [old, fresh, expired] = [aSecret(), aSecret(), aSecret()]
  const endpoint = await at('/hook', { secrets: [old, fresh] })
  await admin.query(
    sql.unsafe`update webhook_secrets set expires_at = now() + interval '1 hour' where id = (select min(id) from webhook_secrets where endpoint_id = ${endpoint})`,
  )
  await admin.query(
    sql.unsafe`insert into webhook_secrets (endpoint_id, secret, expires_at) values (${endpoint}, ${sealedSecret(endpoint, expired)}, now() - interval '1 s')`,
  )
  const jobId = await make.job()
  await tell(db, make, jobId, ['job.started'], { state: 'running' })
  await deliver(() => receiver.received.length === 1)
  const [got] = receiver.received
  const [delivery] = await deliveriesOf(admin, endpoint)
  assert.ok(got && delivery)
  assert.match(got.id, /^evt_\d+$/)
  assert.equal(got.headers['webhook-signature']?.toString().split(' ').length, 2)
  assert.match(String(got.headers['user-agent']), /^RGrid\/\d/)
  assert.equal(got.headers['content-type'], 'application/json')
  assert.deepEqual([got.type, got.data.state, got.data.jobId, got.data.project], ['job.started', 'running', jobId, 'default'])
  assert.ok(!Number.isNaN(Date.parse(got.timestamp)))
  assert.deepEqual([delivery.state, delivery.tries, delivery.last_status, delivery.last_error, delivery.claimed], ['delivered', 1, 204, null, false])
  assert.deepEqual(await triesOf(admin, delivery.id), [{ number: 1, status: 204, error: null, response_body: '' }])
})

test('a receiver that is down for the first tries gets every event, those of a job in order, each under one id', async () => {
  const seen = new Map<unknown, number>()
  const endpoint = await at('/flaky', {
    behaviour(response, _nth, { headers }) {
      const count = (seen.get(headers['webhook-id']) ?? 0) + 1
      seen.set(headers['webhook-id'], count)
      response.writeHead(count === 4 ? 200 : 503).end('no\0t now')
    },
  })
  const jobIds = await Promise.all(Array.from({ length: 6 }, () => make.job()))
  for (const jobId of jobIds) await tell(db, make, jobId, ['job.started', 'job.failed', 'job.started', 'job.succeeded'])
  await deliver(() => receiver.received.length >= 24 * 4)
  const deliveries = await deliveriesOf(admin, endpoint)
  assert.deepEqual(new Set(deliveries.map((one) => one.state)), new Set(['delivered']))
  assert.equal(
    deliveries.reduce((sum, one) => sum + one.tries, 0),
    receiver.received.length,
  )
  for (const jobId of jobIds) {
    const ids = receiver.received.flatMap((one) => (one.data.jobId === jobId ? [Number(one.id.slice(4))] : []))
    assert.deepEqual(
      ids,
      ids.toSorted((a, b) => a - b),
      'an event goes only after the one before it was taken',
    )
    assert.equal(new Set(ids).size, 4)
  }
  const tries = await triesOf(admin, deliveries[0]?.id ?? 0)
  assert.equal(tries[0]?.response_body, 'no\uFFFDt now')
  assert.match(tries[0]?.error ?? '', /answered 503/)
  assert.equal(await admin.oneFirst(sql.unsafe`select failing_since from webhook_endpoints`), null, 'it is well again')
})

test('after the last step a delivery is given up, and the next of its job goes', async () => {
  const endpoint = await at('/never', { behaviour: (response, nth) => void response.writeHead(nth <= 10 ? 500 : 200).end() })
  await tell(db, make, await make.job(), ['job.started', 'job.succeeded'])
  await deliver(() => receiver.received.length === 11)
  assert.deepEqual(
    (await deliveriesOf(admin, endpoint)).map((one) => [one.type, one.state, one.tries]),
    [
      ['job.started', 'failed', 10],
      ['job.succeeded', 'delivered', 1],
    ],
  )
})

test('two schedulers deliver each once', async () => {
  for (let i = 0; i < 4; i++) await at(`/many${i}`)
  const jobIds = await Promise.all(Array.from({ length: 40 }, () => make.job()))
  for (const jobId of jobIds) await tell(db, make, jobId, ['job.started', 'job.succeeded'])
  await deliver(() => receiver.received.length >= 320, aWorker(), aWorker())
  assert.equal(new Set(receiver.received.map((one) => one.path + one.id)).size, 320)
  assert.equal(receiver.received.length, 320)
  assert.deepEqual(new Set((await deliveriesOf(admin)).map((one) => `${one.state} ${one.tries}`)), new Set(['delivered 1']))
})

test('what a killed scheduler had claimed is sent when its claim is over; its late word changes nothing', async () => {
  const endpoint = await at('/lease')
  await tell(db, make, await make.job(), ['job.started', 'job.succeeded'])
  const claim = () => claimDeliveries(db, { ...ROOM, destinations: [{ id: endpoint, limit: 4, inFlight: 0, lane: 'quick' }] }, 60_000)
  const { deliveries } = await claim()
  assert.deepEqual(
    deliveries.map((one) => one.type),
    ['job.started'],
    'only the first of a job',
  )
  assert.deepEqual((await claim()).deliveries, [], 'it is taken, and the other waits for it')
  // As if a minute had passed.
  await admin.query(sql.unsafe`update webhook_deliveries set claimed_until = now() where claimed_until is not null`)
  await deliver(() => receiver.received.length === 2)
  const [first] = deliveries
  assert.ok(first)
  const late = { atMs: 0, durationMs: 1, status: 500, error: 'late', responseBody: null }
  assert.equal(await recordTry(db, first, late, { to: 'failed' }), false)
  const [started, succeeded] = await deliveriesOf(admin, endpoint)
  assert.deepEqual([started?.state, started?.last_status, started?.tries, succeeded?.state], ['delivered', 204, 2, 'delivered'])
  assert.equal((await triesOf(admin, first.id)).length, 2)
})

test('new events are delivered as they come, by the word of the bus', async () => {
  await at('/soon')
  const relay = createRelay(db, bus, log, () => true)
  const claimed = Promise.withResolvers<void>()
  const worker = aWorker({
    // Not by its own look, which comes later than it is waited for.
    everyMs: 600_000,
    db: new Proxy(db, {
      get: (target, key) => {
        claimed.resolve()
        return Reflect.get(target, key)
      },
    }),
  })
  await worker.start()
  await claimed.promise
  await relay.start()
  await tell(db, make, await make.job(), ['job.started'])
  relay.kick()
  await receiver.until(() => receiver.received.length === 1)
  await Promise.all([relay.stop(), worker.stop()])
})

test('a scheduler that stops gives back what it is sending, and spends no try', async () => {
  const endpoint = await at('/hang', { behaviour: () => {} })
  await tell(db, make, await make.job(), ['job.started'])
  await deliver(() => receiver.received.length === 1, aWorker({ drainMs: 50 }))
  const [delivery] = await deliveriesOf(admin, endpoint)
  assert.deepEqual([delivery?.state, delivery?.tries, delivery?.claimed], ['pending', 0, false])
})

test('a claim keeps to the lanes, and to one at a time of an endpoint that is not quick', async () => {
  const endpoints: Record<string, string> = {}
  for (const name of ['quick', 'new', 'slow', 'failing']) endpoints[name] = await at(`/${name}`)
  await admin.query(sql.unsafe`update webhook_endpoints set failing_since = now() where id = ${endpoints.failing ?? ''}`)
  for (let i = 0; i < 6; i++) await tell(db, make, await make.job(), ['job.started'])
  const known = (name: string, lane: DeliveryLane, inFlight = 0) => ({ id: endpoints[name] ?? '', limit: 4, inFlight, lane })
  const claim = async (change: Partial<DeliveryRoom>) => {
    const { deliveries } = await claimDeliveries(db, { ...ROOM, ...change }, 60_000)
    await releaseDeliveries(db, deliveries)
    const name = (id: string) => Object.keys(endpoints).find((key) => endpoints[key] === id)
    return deliveries.map((one) => `${name(one.endpointId)} ${one.lane}`).sort()
  }
  const ends = [known('quick', 'quick', 1), known('slow', 'slow')]
  const [three, two] = [Array(3).fill('quick quick'), Array(2).fill('quick quick')]
  assert.deepEqual(await claim({ destinations: ends }), ['failing slow', 'new new', ...three, 'slow slow'])
  assert.equal((await claim({ destinations: ends, slowSlots: 1 })).length, 5)
  assert.deepEqual(await claim({ destinations: ends, unprovenSlots: 0 }), three)
  assert.deepEqual(await claim({ destinations: ends, slots: 2, unprovenSlots: 0 }), two)
  assert.deepEqual(await claim({ destinations: ends, unprovenSlots: 0, accounts: [{ id: make.accountId, room: 2 }] }), two)
  assert.deepEqual(await claim({ destinations: ends, unprovenSlots: 0, accountSlots: 2 }), two)
  assert.deepEqual(await claim({ destinations: [known('quick', 'quick', 4), known('new', 'new', 1)], slowSlots: 0 }), ['slow new'])
})

test('a server that hangs does not slow the other servers that jobs of the project name', async () => {
  const secret = aSecret()
  const other = await startReceiver()
  receiver.expect('/hang', [secret], () => {})
  other.expect('/good', [secret])
  const endpoint = await anEndpoint(admin, make, { url: null, secrets: [secret], events: [] })
  const hear = async (url: string, count: number) => {
    for (let i = 0; i < count; i++) {
      const jobId = await make.job()
      await admin.query(sql.unsafe`update jobs set spec = spec || ${sql.jsonb({ webhook: { url } })} where id = ${jobId}`)
      await tell(db, make, jobId, ['job.succeeded'])
    }
  }
  // More than are looked at together. The one that hangs does so for longer than this takes: another try would only come when it is given up.
  await hear(receiver.url('/hang'), 100)
  await hear(other.url('/good'), 20)
  const allowed = [receiver, other].map(({ port }) => ({ cidr: '127.0.0.1/32', port }))
  const worker = aWorker({
    send: createSender({ ports: [], allowed, resolve: createResolve(), wholeMs: 120_000 }),
    limits: { slots: 128, waiting: 256, perEndpoint: 4, slowMs: 100 },
    everyMs: 100,
    drainMs: 50,
  })
  await worker.start()
  await other.until(() => other.received.length === 20)
  await worker.stop()
  await other.stop()
  assert.equal(receiver.received.length, 1)
  assert.equal((await deliveriesOf(admin, endpoint)).filter((one) => one.state === 'delivered').length, 20)
})
