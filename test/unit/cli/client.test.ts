import assert from 'node:assert/strict'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import type { JobSpec } from '#core/job/spec.ts'
import { type Client, createClient } from '../../../cli/client.ts'
import { addressOf, ROUTES, type Route } from '../../../cli/routes.ts'
import { OPERATIONS } from '../../../gateway/openapi/operations.ts'

interface Asked {
  method: string
  url: string
  key: string | undefined
  body: string
  atMs: number
}
type Answer = (response: ServerResponse, request: IncomingMessage, nth: number) => void

const JOB = OPERATIONS['POST /v1/projects/{slug}/jobs']?.answers[201]?.['application/json'] as { id: string }
const SPEC: JobSpec = { spec: { runtime: 'bash', command: ['true'] } }
let stop: () => Promise<void> = async () => undefined
afterEach(() => stop())

/** A server that answers as it is told, and a client of it. */
async function serve(answer: Answer): Promise<{ client: Client; asked: Asked[] }> {
  const asked: Asked[] = []
  const server = createServer(async (request, response) => {
    const pieces: Buffer[] = []
    for await (const piece of request) pieces.push(piece as Buffer)
    const key = request.headers['idempotency-key']
    asked.push({
      method: request.method ?? '',
      url: request.url ?? '',
      key: key as string | undefined,
      body: Buffer.concat(pieces).toString(),
      atMs: performance.now(),
    })
    answer(response, request, asked.length)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  stop = async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
    stop = async () => undefined
  }
  const apiUrl = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return { client: createClient({ apiUrl, apiKey: 'rgrid_test', source: 'a test' }), asked }
}

const send = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) =>
  void response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(body === undefined ? undefined : JSON.stringify(body))
const refuse = (response: ServerResponse, status: number, code: string, headers: Record<string, string> = {}) =>
  send(response, status, { code, detail: `it is ${code}` }, headers)
const submit = (client: Client) => client.call('POST /v1/projects/:slug/jobs', { params: { slug: 'default' }, body: SPEC })

test('a submit whose answer is lost is sent again with the same key', async () => {
  const { client, asked } = await serve((response, _, nth) => (nth < 3 ? response.destroy() : send(response, 201, JOB)))
  assert.equal((await submit(client)).id, JOB.id)
  assert.equal(asked.length, 3)
  assert.match(asked[0]?.key ?? '', /^[0-9a-f-]{36}$/)
  assert.equal(new Set(asked.map(({ key, body }) => `${key} ${body}`)).size, 1)
})

test('two submits have two keys', async () => {
  const { client, asked } = await serve((response) => send(response, 201, JOB))
  await submit(client)
  await submit(client)
  assert.notEqual(asked[0]?.key, asked[1]?.key)
})

for (const [status, code] of [
  [503, 'unavailable'],
  [429, 'limit_exceeded'],
] as const) {
  test(`${status} is waited for as Retry-After says, and asked again`, async () => {
    const { client, asked } = await serve((response, _, nth) => (nth === 1 ? refuse(response, status, code, { 'retry-after': '1' }) : send(response, 201, JOB)))
    assert.equal((await submit(client)).id, JOB.id)
    const [first, second] = asked
    assert.ok(first && second && second.atMs - first.atMs >= 990)
    assert.equal(first.key, second.key)
  })

  test(`${status} that asks to wait for longer than somebody would is told at once`, async () => {
    const { client, asked } = await serve((response) => refuse(response, status, code, { 'retry-after': '3600' }))
    await assert.rejects(submit(client), { code, message: `it is ${code}`, retryAfterSeconds: 3600 })
    assert.equal(asked.length, 1)
  })
}

test('it is given up after five times, with the words of the gateway', async () => {
  const { client, asked } = await serve((response) => refuse(response, 503, 'unavailable', { 'retry-after': '0' }))
  await assert.rejects(client.call('GET /v1/doctor'), { code: 'unavailable', message: 'it is unavailable' })
  assert.equal(asked.length, 5)
})

test('a call that is made once is not made again, and says when it may be', async () => {
  const { client, asked } = await serve((response) => refuse(response, 503, 'unavailable', { 'retry-after': '7' }))
  const asking = client.once(new AbortController().signal, 'GET /v1/jobs/:id/explain', { params: { id: 'job_1' } })
  await assert.rejects(asking, { code: 'unavailable', retryAfterSeconds: 7 })
  assert.equal(asked.length, 1)
})

test('a call that is made once ends with its signal', async () => {
  const stop = new AbortController()
  const { client } = await serve(() => stop.abort(new Error('it started')))
  await assert.rejects(client.once(stop.signal, 'GET /v1/jobs/:id/explain', { params: { id: 'job_1' } }), { message: 'it started' })
})

test('what may do harm twice is not sent again once it may have been heard', async () => {
  const { client, asked } = await serve((response) => response.destroy())
  await assert.rejects(client.call('POST /v1/jobs/:id/cancel', { params: { id: 'job_1' } }), { code: 'unavailable' })
  await assert.rejects(client.call('DELETE /v1/webhooks/:id', { params: { id: 'wh_1' } }), { code: 'unavailable' })
  assert.equal(asked.length, 2)
})

test('what is wrong is not asked again, and names its fields', async () => {
  const errors = [{ path: 'spec.runtime', message: 'is not known' }]
  const { client, asked } = await serve((response) => send(response, 422, { code: 'validation', detail: 'spec.runtime: is not known', errors }))
  await assert.rejects(submit(client), { code: 'validation', issues: errors })
  assert.equal(asked.length, 1)
})

test('parameters stand in the address escaped, a query may repeat a name, nothing comes back of a delete', async () => {
  const { client, asked } = await serve((response, { method }) =>
    method === 'DELETE' ? response.writeHead(204).end() : send(response, 200, { items: [], nextCursor: null }),
  )
  await client.call('GET /v1/projects/:slug/jobs', { params: { slug: 'a/b?' }, query: { label: ['a=1', 'b=2'], limit: 5 } })
  assert.equal(await client.call('DELETE /v1/projects/:slug/secrets/:name', { params: { slug: 'x', name: 'A B' } }), null)
  assert.deepEqual(
    asked.map(({ method, url }) => `${method} ${url}`),
    ['GET /v1/projects/a%2Fb%3F/jobs?label=a%3D1&label=b%3D2&limit=5', 'DELETE /v1/projects/x/secrets/A%20B'],
  )
})

test('all items of a list are read, page by page, with its filters', async () => {
  const pages = [
    { items: [1, 2], nextCursor: 'a b' },
    { items: [3], nextCursor: null },
  ]
  const { client, asked } = await serve((response, _, nth) => send(response, 200, pages[nth - 1]))
  assert.deepEqual(await Array.fromAsync(client.all('GET /v1/projects/:slug/jobs', { params: { slug: 'x' }, query: { state: 'queued' } })), [1, 2, 3])
  assert.deepEqual(
    asked.map(({ url }) => url),
    ['/v1/projects/x/jobs?state=queued', '/v1/projects/x/jobs?state=queued&cursor=a+b'],
  )
})

test('a list that says nothing of pages is whole', async () => {
  const { client, asked } = await serve((response) => send(response, 200, { items: [1] }))
  assert.deepEqual(await Array.fromAsync(client.all('GET /v1/nodes')), [1])
  assert.equal(asked.length, 1)
})

test('what does not answer as RGrid does is said so', async () => {
  const { client } = await serve((response) => response.writeHead(200, { 'content-type': 'text/html' }).end('<html>'))
  await assert.rejects(client.call('GET /v1/doctor'), /does not answer as RGrid does/)
})

test('the types refuse what the gateway would', () => {
  const never = (_: (client: Client) => unknown) => undefined
  // @ts-expect-error there is no such call
  never((client) => client.call('GET /v1/nothing'))
  // @ts-expect-error its parameter is missing
  never((client) => client.call('GET /v1/jobs/:id'))
  // @ts-expect-error it has another name
  never((client) => client.call('GET /v1/jobs/:id', { params: { job: 'x' } }))
  // @ts-expect-error its body is missing
  never((client) => client.call('POST /v1/projects/:slug/jobs', { params: { slug: 'x' } }))
  // @ts-expect-error a batch is no job
  never((client) => client.call('POST /v1/projects/:slug/jobs', { params: { slug: 'x' }, body: { template: {}, items: [] } }))
  // @ts-expect-error it is no list
  never((client) => client.all('GET /v1/jobs/:id', { params: { id: 'x' } }))
  never(async (client) => {
    const { state } = await client.call('GET /v1/jobs/:id', { params: { id: 'x' } })
    // @ts-expect-error no job has this state
    return state === 'done'
  })
})

test('each call is one of the gateway, and its examples are what the schemas here say', () => {
  for (const [name, route] of Object.entries(ROUTES) as [keyof typeof ROUTES, Route][]) {
    const operation = OPERATIONS[name.replaceAll(/:(\w+)/g, '{$1}')]
    assert.ok(operation, name)
    assert.equal(operation.idempotent === true, route.idempotent === true || name.endsWith('/files'), `${name}: Idempotency-Key`)
    if (route.body) assert.ok(Value.Check(route.body, operation.body?.['application/json']), `the body of ${name}`)
    const [[, answer] = []] = Object.entries(operation.answers)
    assert.ok(Value.Check(route.answer, answer?.['application/json'] ?? null), `the answer of ${name}`)
    assert.equal(addressOf(name, {}).method, name.split(' ')[0])
  }
})
