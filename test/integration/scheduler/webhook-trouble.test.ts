import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { pino } from 'pino'
import { sql } from 'slonik'
import type { Bus } from '#bus/bus.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createResolve } from '../../../scheduler/webhooks/resolve.ts'
import { createSender, type Send } from '../../../scheduler/webhooks/send.ts'
import { createWebhooks } from '../../../scheduler/webhooks/worker.ts'
import { serviceBus } from '../../harness/bus.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'
import { type Behaviour, type Receiver, selfSigned, startReceiver } from '../../harness/receiver.ts'
import { testSealer } from '../../harness/secret-keys.ts'
import { anEndpoint, aSecret, deliveriesOf, tell, triesOf } from '../../harness/webhooks.ts'

const log = pino({ level: 'silent' })
let database: TestDatabase
let admin: DatabasePool
let db: DatabasePool
let bus: Bus
let make: Factory
let receiver: Receiver
let send: Send
/** Waits for an answer so long as a test may. */
let hasty: Send

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl)
  db = await createDbPool(database.schedulerUrl)
  bus = await serviceBus()
  make = await createFactory(admin)
  receiver = await startReceiver()
  const rules = { ports: [], allowed: [{ cidr: '127.0.0.1/32', port: receiver.port }], resolve: createResolve() }
  send = createSender(rules)
  hasty = createSender({ ...rules, wholeMs: 1500 })
})
beforeEach(() => admin.query(sql.unsafe`truncate webhook_endpoints, jobs, batches, events, outbox cascade`))
after(async () => {
  await receiver?.stop()
  await bus.close()
  await Promise.all([db.end(), admin.end()])
  await database.drop()
})

async function at(path: string, behaviour?: Behaviour): Promise<string> {
  const secret = aSecret()
  receiver.expect(path, [secret], behaviour)
  return anEndpoint(admin, make, { url: receiver.url(path), secrets: [secret] })
}

/** Runs a worker with the real schedule until so many requests came to the path, and their results are written. */
async function deliver(path: string, count = 1, by = send): Promise<void> {
  const before = receiver.at(path).length
  const worker = createWebhooks({ db, bus, log, sealer: testSealer, send: by, disableDays: 5 })
  await worker.start()
  await receiver.until(() => receiver.at(path).length >= before + count).finally(() => worker.stop())
  assert.deepEqual(receiver.faults, [])
}

const minutes = (ms: number | null | undefined) => Math.round((ms ?? 0) / 60_000)

test('each kind of trouble is a failed try that says what it was, and is sent again later', async () => {
  const cases: [string, Behaviour, number | null, RegExp][] = [
    ['/500', (response) => void response.writeHead(500).end('broken'), 500, /^the receiver answered 500$/],
    ['/redirect', (response) => void response.writeHead(307, { location: '/target' }).end(), 307, /answered 307, a redirect: these are not followed/],
    ['/closed', (response) => void response.destroy(), null, /socket hang up|closed the connection/],
    ['/silent', () => {}, null, /no answer within 1.5 s/],
    ['/half-header', (response) => void response.socket?.write('HTTP/1.1 200 OK\r\nx-a: '), null, /no answer within 1.5 s/],
    ['/nonsense', (response) => void response.socket?.end('SSH-2.0-x\r\n\r\n'), null, /Parse Error/],
  ]
  for (const [path, behaviour, status, error] of cases) {
    const endpoint = await at(path, behaviour)
    await tell(db, make, await make.job(), ['job.started'])
    const beganMs = performance.now()
    await deliver(path, 1, error.source.includes('1.5 s') ? hasty : send)
    const [delivery] = await deliveriesOf(admin, endpoint)
    const tookMs = performance.now() - beganMs
    assert.ok(delivery)
    assert.deepEqual([delivery.state, delivery.tries, delivery.step, delivery.claimed, delivery.last_status], ['pending', 1, 1, false, status], path)
    assert.match(delivery.last_error ?? '', error, path)
    // Five seconds after the try, more or less a tenth.
    assert.ok((delivery.due_in_ms ?? 0) > 4500 - tookMs && (delivery.due_in_ms ?? 0) <= 5500, `${path}: ${delivery.due_in_ms}, ${tookMs} ms after it began`)
    assert.equal(await admin.exists(sql.unsafe`select 1 from webhook_endpoints where id = ${endpoint} and failing_since is not null`), true, path)
    await admin.query(sql.unsafe`delete from webhook_endpoints`)
  }
  assert.deepEqual(receiver.at('/target'), [])
})

test('the status counts, whatever becomes of the body: 1 GB, a byte now and then, or none of what was announced', async () => {
  let closed = 0
  const chunk = Buffer.alloc(1 << 20, 'x')
  const flood: Behaviour = (response) => {
    response.on('close', () => closed++)
    response.writeHead(200, { 'content-length': 2 ** 30 })
    const more = () => {
      while (!response.destroyed && response.write(chunk));
    }
    response.on('drain', more)
    more()
  }
  const held: Behaviour = (response) => {
    response.on('close', () => closed++)
    response.writeHead(200, { 'content-length': 100 }).write('one')
  }
  const cases: [string, Behaviour, number][] = [
    ['/flood', flood, 4096],
    ['/drip', held, 3],
  ]
  for (const [path, behaviour, length] of cases) {
    const endpoint = await at(path, behaviour)
    await tell(db, make, await make.job(), ['job.started'])
    await deliver(path)
    const [delivery] = await deliveriesOf(admin, endpoint)
    assert.equal(delivery?.state, 'delivered')
    assert.equal((await triesOf(admin, delivery?.id ?? 0))[0]?.response_body?.length, length)
    await admin.query(sql.unsafe`delete from webhook_endpoints`)
  }
  await receiver.until(() => true)
  assert.ok(closed >= 1)
})

test('a certificate that nobody vouches for is a failed try; one that somebody does is good', async () => {
  const pair = selfSigned()
  const secure = await startReceiver(pair)
  const secret = aSecret()
  secure.expect('/tls', [secret])
  const message = { url: secure.url('/tls'), headers: {}, body: '{}' }
  const rules = { ports: [], allowed: [{ cidr: '127.0.0.1/32', port: secure.port }], resolve: createResolve() }
  const signal = AbortSignal.timeout(60_000)
  const answer = await createSender(rules)(message, signal)
  assert.deepEqual([answer.outcome, answer.status], ['error', null])
  assert.match(answer.error ?? '', /self-signed certificate/)
  assert.deepEqual(secure.received, [])
  const endpoint = await anEndpoint(admin, make, { url: secure.url('/tls'), secrets: [secret] })
  await tell(db, make, await make.job(), ['job.started'])
  const worker = createWebhooks({ db, bus, log, sealer: testSealer, send: createSender({ ...rules, ca: pair.cert }), disableDays: 5 })
  await worker.start()
  await secure.until(() => secure.received.length === 1)
  await worker.stop()
  await secure.stop()
  assert.deepEqual([(await deliveriesOf(admin, endpoint))[0]?.state, secure.faults], ['delivered', []])
})

test('429 and 503 with Retry-After are not sent to before that', async () => {
  const cases: [string, number, string, number][] = [
    ['/seconds', 429, '1200', 20],
    ['/date', 503, new Date(Date.now() + 3_600_000).toUTCString(), 60],
    ['/long', 429, '999999999', 24 * 60],
    ['/short', 429, '0', 0],
    ['/other', 500, '1200', 0],
  ]
  for (const [path, status, header, expected] of cases) {
    const endpoint = await at(path, (response) => void response.writeHead(status, { 'retry-after': header }).end())
    await tell(db, make, await make.job(), ['job.started'])
    await deliver(path)
    const [delivery] = await deliveriesOf(admin, endpoint)
    assert.deepEqual([delivery?.state, minutes(delivery?.due_in_ms)], ['pending', expected], path)
    await admin.query(sql.unsafe`delete from webhook_endpoints`)
  }
})

test('410 switches the endpoint off: what waits for it ends, and the other endpoints of the project are told', async () => {
  const gone = await at('/gone', (response) => void response.writeHead(410).end())
  const other = await at('/other-hook')
  await tell(db, make, await make.job(), ['job.started', 'job.succeeded'])
  await tell(db, make, await make.job(), ['job.started'])
  await deliver('/other-hook', 4)
  const found = await deliveriesOf(admin, gone)
  assert.deepEqual(new Set(found.map((one) => one.state)), new Set(['failed']))
  assert.match(found.at(1)?.last_error ?? '', /410/)
  assert.deepEqual(await admin.one(sql.unsafe`select enabled, disabled_reason from webhook_endpoints where id = ${gone}`), {
    enabled: false,
    disabled_reason: 'gone',
  })
  const told = receiver.at('/other-hook').find((one) => one.type === 'webhook.disabled')
  assert.deepEqual([told?.data.webhookId, told?.data.url, told?.data.reason], [gone, receiver.url('/gone'), 'gone'])
  assert.deepEqual(new Set((await deliveriesOf(admin, other)).map((one) => one.state)), new Set(['delivered']))
})

test('an endpoint that has taken nothing for days is switched off; one that failed for less is not', async () => {
  const failing = await at('/failing', (response) => void response.writeHead(500).end())
  await admin.query(sql.unsafe`update webhook_endpoints set failing_since = now() - interval '4 days'`)
  await tell(db, make, await make.job(), ['job.started'])
  await deliver('/failing')
  assert.equal(await admin.oneFirst(sql.unsafe`select enabled from webhook_endpoints`), true)
  await admin.query(sql.unsafe`update webhook_endpoints set failing_since = now() - interval '5 days'`)
  await admin.query(sql.unsafe`update webhook_deliveries set next_try_at = now()`)
  await deliver('/failing')
  assert.equal(await admin.oneFirst(sql.unsafe`select disabled_reason from webhook_endpoints`), 'failing')
  const [delivery] = await deliveriesOf(admin, failing)
  assert.deepEqual([delivery?.state, delivery?.tries], ['failed', 2])
  assert.match(delivery?.last_error ?? '', /switched off: nothing reached it for 5 days/)
  assert.deepEqual(await admin.oneFirst(sql.unsafe`select data ->> 'reason' from events where type = 'webhook.disabled'`), 'failing')
})

test('the endpoint of kind jobs stays on, whatever one of its addresses does', async () => {
  const secret = aSecret()
  receiver.expect('/mine', [secret], (response) => void response.writeHead(410).end())
  const endpoint = await anEndpoint(admin, make, { url: null, secrets: [secret], events: [] })
  const jobId = await make.job()
  await admin.query(sql.unsafe`update jobs set spec = spec || ${sql.jsonb({ webhook: { url: receiver.url('/mine') } })} where id = ${jobId}`)
  await tell(db, make, jobId, ['job.succeeded'])
  await deliver('/mine')
  assert.equal((await deliveriesOf(admin, endpoint))[0]?.state, 'failed')
  assert.deepEqual(await admin.one(sql.unsafe`select enabled, failing_since from webhook_endpoints`), { enabled: true, failing_since: null })
})

test('deliveries that were written while the endpoint was being switched off end too', async () => {
  const path = '/off'
  const endpoint = await at(path)
  await tell(db, make, await make.job(), ['job.started'])
  await admin.query(sql.unsafe`update webhook_endpoints set enabled = false, disabled_reason = 'user', disabled_at = now()`)
  const on = await at('/on')
  await tell(db, make, await make.job(), ['job.started'])
  await deliver('/on')
  assert.deepEqual([(await deliveriesOf(admin, endpoint))[0]?.state, (await deliveriesOf(admin, on))[0]?.state], ['failed', 'delivered'])
  assert.deepEqual(receiver.at(path), [])
})
