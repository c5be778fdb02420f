import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import { Problem } from '#core/api.ts'
import { createMetrics } from '#core/service/metrics.ts'
import { sleep } from '#core/service/time.ts'
import { createApiKey, ensureProject } from '#store/bootstrap.ts'
import { createDbPool } from '#store/pool.ts'
import { createTestDatabase } from '../../harness/database.ts'
import { startGateway, TEST_HTTP } from '../../harness/gateway.ts'
import { freePorts } from '../../harness/ports.ts'
import { startProcess } from '../../harness/process.ts'

const JOBS = '/v1/projects/default/jobs'

for (const [what, limit, reason] of [
  ['memory', { maxRssBytes: 1 }, 'memory'],
  ['heap', { maxHeapBytes: 1 }, 'heap'],
] as const) {
  test(`a gateway beyond its limit of ${what} answers 503 with Retry-After, also without a credential; health is answered`, async () => {
    const metrics = createMetrics()
    const gateway = await startGateway({ metrics, http: { ...TEST_HTTP, ...limit } })
    try {
      // It looks at itself once a second.
      const refused = await until(
        () => gateway.call('GET', '/v1/projects'),
        ({ statusCode }) => statusCode === 503,
      )
      const answers = [refused, await gateway.app.inject('/v1/me'), await gateway.call('POST', JOBS, { spec: {} }), await gateway.app.inject('/nothing')]
      for (const answer of answers) {
        assert.equal(answer.statusCode, 503, answer.body)
        assert.match(String(answer.headers['content-type']), /^application\/problem\+json/)
        assert.ok(Value.Check(Problem, answer.json()))
        assert.equal(answer.json().code, 'unavailable')
        assert.match(String(answer.headers['retry-after']), /^[2-6]$/)
      }
      for (const path of ['/healthz', '/readyz']) assert.equal((await gateway.app.inject(path)).statusCode, 200, path)
      assert.match(await metrics.render(), new RegExp(`^rgrid_http_overload_refusals_total\\{reason="${reason}"\\} [1-9]`, 'm'))
    } finally {
      await gateway.stop()
    }
  })
}

test('a gateway that is flooded refuses some, answers all, and is well when the flood is over', async (t) => {
  const database = await createTestDatabase()
  const admin = await createDbPool(database.adminUrl, 1)
  const key = await createApiKey(admin, await ensureProject(admin, 'default', 'default'), 'test')
  const { RGRID_PORT_API: port, RGRID_PORT_NATS: metricsPort } = await freePorts()
  const gateway = startProcess('gateway', {
    RGRID_DATABASE_URL: database.gatewayUrl,
    RGRID_LISTEN: `127.0.0.1:${port}`,
    RGRID_METRICS_LISTEN: `127.0.0.1:${metricsPort}`,
    RGRID_MAX_LOOP_DELAY_MS: '5',
  })
  t.after(async () => {
    await gateway.stop()
    await admin.end()
    await database.drop()
  })
  await gateway.logged(/"started"/)
  const url = `http://127.0.0.1:${port}`
  const headers = { authorization: `Bearer ${key}`, 'content-type': 'application/json' }
  // Each keeps the process busy for some milliseconds, and is wrong in the end.
  const body = JSON.stringify({ spec: Array.from({ length: 200_000 }, () => ({})) })
  const counts = new Map<number, number>()
  let over = false
  const flood = Array.from({ length: 24 }, async () => {
    while (!over) {
      const response = await fetch(`${url}${JOBS}`, { method: 'POST', headers, body })
      assert.match(String(response.headers.get('content-type')), /^application\/problem\+json/)
      if (response.status === 503) assert.match(String(response.headers.get('retry-after')), /^[2-6]$/)
      await response.arrayBuffer()
      counts.set(response.status, (counts.get(response.status) ?? 0) + 1)
    }
  })
  const within = async () => (counts.get(503) ?? 0) > 50
  await until(within, (enough) => enough)
  for (let asked = 0; asked < 5; asked++) {
    assert.equal((await fetch(`${url}/healthz`)).status, 200)
    assert.match(await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text(), /^rgrid_http_overload_refusals_total\{reason="event_loop"\} [1-9]/m)
  }
  over = true
  await Promise.all(flood)
  t.diagnostic(`answers by status: ${JSON.stringify(Object.fromEntries(counts))}`)
  for (const status of counts.keys()) assert.ok([422, 429, 503].includes(status), String(status))
  const calm = await until(
    () => fetch(`${url}/v1/projects`, { headers }),
    ({ status }) => status === 200,
  )
  assert.equal(calm.status, 200)
})

/** Asks again and again until the answer fits. */
async function until<T>(ask: () => Promise<T>, fits: (answer: T) => boolean): Promise<T> {
  const deadline = AbortSignal.timeout(60_000)
  for (;;) {
    const answer = await ask()
    if (fits(answer)) return answer
    await sleep(50, deadline)
  }
}
