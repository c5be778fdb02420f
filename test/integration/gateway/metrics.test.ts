import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createLog } from '#core/service/log.ts'
import { createMetrics, metricsListener } from '#core/service/metrics.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { freePorts } from '../../harness/ports.ts'
import { startProcess, type TestProcess } from '../../harness/process.ts'
import { readMetrics, scrape } from '../../harness/scrape.ts'

const log = createLog('test', 'silent')
let database: TestDatabase
let gateway: TestProcess
let api: string
let address: string

before(async () => {
  database = await createTestDatabase()
  const ports = await freePorts()
  api = `127.0.0.1:${ports.RGRID_PORT_API}`
  address = `127.0.0.1:${ports.RGRID_PORT_S3}`
  gateway = startProcess('gateway', { RGRID_DATABASE_URL: database.gatewayUrl, RGRID_LISTEN: api, RGRID_METRICS_LISTEN: address })
  await gateway.logged(/"started"/)
})
after(async () => {
  await gateway.stop()
  await database.drop()
})

test('requests are counted by the pattern of their route and the class of their status', async () => {
  const series = (route: string, status: string) => `rgrid_http_request_seconds_count{method="GET",route="${route}",status="${status}"}`
  assert.equal((await scrape(address)).value(series('/v1/jobs/:id', '4xx')), undefined)
  for (const path of ['/v1/jobs/a', '/v1/jobs/b', '/nothing', '/healthz']) await (await fetch(`http://${api}${path}`)).text()
  const { value } = await scrape(address)
  assert.equal(value(series('/v1/jobs/:id', '4xx')), 2)
  assert.equal(value(series('none', '4xx')), 1)
  assert.equal(value(series('/healthz', '2xx')), 1)
})

test('the gateway shows its connections, and serves no metrics where strangers can ask', async () => {
  const { value } = await scrape(address)
  assert.equal(value('rgrid_bus_connected'), 1)
  assert.equal(value('rgrid_db_up'), 1)
  assert.equal(value('rgrid_db_connections{state="awaited"}'), 0)
  assert.equal((await fetch(`http://${api}/metrics`)).status, 404)
})

test('without the variable nothing listens; an address that is taken is an error', async () => {
  const metrics = createMetrics()
  assert.deepEqual(metricsListener(metrics, undefined, log), [])
  const [taken] = metricsListener(metrics, address, log)
  await assert.rejects(async () => taken?.start(), /EADDRINUSE/)
  await taken?.stop()
})

test('a value that cannot be read is absent, and the others are there', async () => {
  const metrics = createMetrics()
  metrics.gauge('good', 'one', () => 1)
  metrics.gauge('bad', 'fails', () => Promise.reject(new Error('away')))
  metrics.gauge('bad_labelled', 'fails', () => Promise.reject(new Error('away')), 'state')
  const { value, text } = readMetrics(await metrics.render())
  assert.equal(value('good'), 1)
  assert.equal(value('bad'), undefined)
  assert.doesNotMatch(text, /^bad/m)
})
