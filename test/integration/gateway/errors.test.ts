import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import { connectService } from '#bus/bus.ts'
import { Problem } from '#core/api.ts'
import { newId } from '#core/ids.ts'
import type { Diagnosis } from '#core/operator-api.ts'
import { createLog } from '#core/service/log.ts'
import { createObjects } from '#store/objects.ts'
import { startCable } from '../../harness/cable.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { testServices } from '../../harness/services.ts'

let gateway: TestGateway
before(async () => {
  gateway = await startGateway()
})
after(() => gateway.stop())

const JOBS = '/v1/projects/default/jobs'
const json = { 'content-type': 'application/json' }

const CASES: [string, 'GET' | 'POST' | 'DELETE', string, string | undefined, Record<string, string>, number, string][] = [
  ['an address that is none', 'GET', '/v1/nothing', undefined, {}, 404, 'not_found'],
  ['a job that is not there', 'GET', `/v1/jobs/${newId('job')}`, undefined, {}, 404, 'not_found'],
  ['an id that is no id', 'GET', '/v1/jobs/x', undefined, {}, 404, 'not_found'],
  ['NUL in an address', 'GET', '/v1/jobs/a%00b', undefined, {}, 400, 'bad_request'],
  ['NUL in a query', 'GET', `${JOBS}?name=a%00b`, undefined, {}, 400, 'bad_request'],
  ['an address with a broken escape', 'GET', '/v1/jobs/%zz', undefined, {}, 400, 'bad_request'],
  ['a method that is not there', 'DELETE', JOBS, undefined, {}, 405, 'method_not_allowed'],
  ['a method that is not there, on one object', 'DELETE', `/v1/jobs/${newId('job')}`, undefined, {}, 405, 'method_not_allowed'],
  ['a body that is no JSON', 'POST', JOBS, '{"spec":', json, 400, 'bad_request'],
  ['an empty body', 'POST', JOBS, '', json, 400, 'bad_request'],
  ['a body that would change prototypes', 'POST', JOBS, '{"__proto__": {}}', json, 400, 'bad_request'],
  ['no body at all', 'POST', JOBS, undefined, {}, 422, 'validation'],
  ['a body of another media type', 'POST', JOBS, 'a: b', { 'content-type': 'application/yaml' }, 415, 'unsupported_media_type'],
  ['a body of plain text', 'POST', JOBS, '{}', { 'content-type': 'text/plain' }, 415, 'unsupported_media_type'],
  ['a body that is too large', 'POST', JOBS, JSON.stringify('x'.repeat(5 * 2 ** 20)), json, 413, 'too_large'],
  ['a limit that is out of range', 'GET', `${JOBS}?limit=201`, undefined, {}, 422, 'validation'],
  ['a query that is not known', 'GET', `${JOBS}?nmae=x`, undefined, {}, 422, 'validation'],
  ['a state that is none', 'GET', `${JOBS}?state=done`, undefined, {}, 422, 'validation'],
  ['a cursor that is none', 'GET', `${JOBS}?cursor=abc`, undefined, {}, 422, 'validation'],
  ['a label filter without a value', 'GET', `${JOBS}?label=team`, undefined, {}, 422, 'validation'],
  ['a file that is none', 'POST', '/v1/projects/default/files', '{"sha256":"x","sizeBytes":-1}', json, 422, 'validation'],
]

for (const [what, method, url, payload, headers, status, code] of CASES) {
  test(`${what} is answered by a problem document: ${status} ${code}`, async () => {
    const response = await gateway.app.inject({
      method,
      url,
      headers: { authorization: `Bearer ${gateway.key}`, ...headers },
      ...(payload === undefined ? {} : { payload }),
    })
    assert.equal(response.statusCode, status, response.body)
    assert.match(String(response.headers['content-type']), /^application\/problem\+json/)
    const problem: unknown = response.json()
    assert.ok(Value.Check(Problem, problem), response.body)
    assert.equal(problem.code, code)
    assert.equal(problem.status, status)
    assert.equal(problem.requestId, response.headers['x-request-id'])
    if (status === 405) assert.match(String(response.headers.allow), /GET/)
  })
}

test('a query fault names the parameter', async () => {
  assert.deepEqual(
    (await gateway.call('GET', `${JOBS}?limit=0`)).json().errors.map((issue: { path: string }) => issue.path),
    ['limit'],
  )
})

test('every answer carries nosniff, who may keep it, and its request id', async () => {
  const { headers } = await gateway.call('GET', '/v1/projects')
  assert.equal(headers['x-content-type-options'], 'nosniff')
  assert.equal(headers['cache-control'], 'private, no-cache')
  assert.match(String(headers['x-request-id']), /^[0-9a-f-]{36}$/)
})

test('when Postgres is away the answer is 503 with Retry-After, readiness says what is missing, and all is well when it is back', async () => {
  const cable = await startCable(testServices().postgresAdminUrl)
  const cut = await startGateway({}, cable.through)
  try {
    assert.equal((await cut.call('GET', '/v1/projects')).statusCode, 200)
    cable.cut()
    const response = await cut.call('GET', '/v1/projects')
    assert.equal(response.statusCode, 503, response.body)
    assert.equal(response.headers['retry-after'], '5')
    assert.equal(response.json().code, 'unavailable')
    const ready = await cut.call('GET', '/readyz')
    assert.equal(ready.statusCode, 503)
    assert.deepEqual(ready.json().checks, { postgres: 'does not answer', nats: 'ok', s3: 'ok' })
    assert.equal((await cut.call('GET', '/healthz')).statusCode, 200)
    cable.mend()
    assert.equal((await cut.call('GET', '/v1/projects')).statusCode, 200)
  } finally {
    await cut.stop()
    await cable.close()
  }
})

test('when Postgres falls silent without a word, submits and more of them than there are connections are 503 together, and all is well when it is back', async () => {
  const cable = await startCable(testServices().postgresAdminUrl)
  const cut = await startGateway({}, cable.through)
  try {
    const submit = () => cut.call('POST', JOBS, { spec: { runtime: 'bash', command: ['true'] } })
    assert.equal((await submit()).statusCode, 201)
    cable.hush()
    const startedMs = performance.now()
    const answers = await Promise.all([submit(), submit(), ...Array.from({ length: 28 }, () => cut.call('GET', '/v1/projects'))])
    // It takes 3.5 s to know, and would take three times that by turns on ten connections.
    assert.ok(performance.now() - startedMs < 9000, `it took ${performance.now() - startedMs} ms`)
    for (const response of answers) {
      assert.equal(response.statusCode, 503, response.body)
      assert.match(String(response.headers['content-type']), /^application\/problem\+json/)
      assert.equal(response.headers['retry-after'], '5')
    }
    // Known by now: nobody waits for it again.
    const times: number[] = []
    for (let n = 0; n < 3; n++) {
      const knownMs = performance.now()
      assert.equal((await submit()).statusCode, 503)
      times.push(performance.now() - knownMs)
    }
    assert.ok(Math.min(...times) < 3000, `${times} ms`)
    cable.mend()
    assert.equal((await submit()).statusCode, 201)
  } finally {
    await cut.stop()
    await cable.close()
  }
})

test('when NATS or the object store is away only what needs them is 503, and jobs are still taken', async () => {
  const services = testServices()
  const natsCable = await startCable(services.natsUrl)
  const s3Cable = await startCable(services.s3.url)
  const log = createLog('test', 'silent')
  const bus = await connectService({ name: 'cut', url: natsCable.through(services.natsUrl), credsFile: `${services.natsTrustDir}/gateway.creds`, log })
  const s3Url = s3Cable.through(services.s3.url).replace(/\/$/, '')
  const objects = createObjects({ ...services.s3, url: s3Url, presignUrl: services.s3.url })
  const cut = await startGateway({ bus, objects })
  try {
    const job = await cut.attempts.assign(await cut.factory.job())
    natsCable.cut()
    s3Cable.cut()
    const log = await cut.call('GET', `/v1/jobs/${job.jobId}/logs`)
    assert.equal(log.statusCode, 503, log.body)
    // Nobody can have uploaded a file that is announced for the first time; the next time the object store is asked.
    for (const status of [201, 503]) {
      const file = await cut.call('POST', '/v1/projects/default/files', { sha256: 'a'.repeat(64), sizeBytes: 1 })
      assert.equal(file.statusCode, status, file.body)
    }
    assert.equal((await cut.call('POST', JOBS, { spec: { runtime: 'bash', command: ['true'] } })).statusCode, 201)
    assert.deepEqual((await cut.call('GET', '/readyz')).json().checks, { postgres: 'ok', nats: 'does not answer', s3: 'does not answer' })
    const { checks } = (await cut.call('GET', '/v1/doctor')).json<Diagnosis>()
    assert.deepEqual(
      checks.filter((check) => /not answer|not be compared/.test(check.problems[0] ?? '')).map((check) => check.name),
      ['the bus answers', 'object storage matches its rows'],
    )
  } finally {
    natsCable.mend()
    await cut.stop()
    await bus.close()
    objects.close()
    await Promise.all([natsCable.close(), s3Cable.close()])
  }
})

test('it is ready when all three answer', async () => {
  const response = await gateway.app.inject('/readyz')
  assert.equal(response.statusCode, 200)
  assert.deepEqual(response.json(), { status: 'ready', checks: { postgres: 'ok', nats: 'ok', s3: 'ok' } })
})

test('the OpenAPI document needs no key', async () => {
  const response = await gateway.app.inject('/openapi.json')
  assert.equal(response.statusCode, 200)
  // That it lists each route test/integration/gateway/access-matrix.test.ts shows.
  assert.equal(response.json().openapi, '3.1.0')
})
