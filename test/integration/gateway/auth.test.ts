import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { sql } from 'slonik'
import { withDeadline } from '#core/service/time.ts'
import { createApiKey, ensureProject } from '#store/bootstrap.ts'
import { hashSecret } from '#store/secrets.ts'
import { openEvents } from '../../harness/event-stream.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'

let gateway: TestGateway
let foreignKey: string
let address: string | undefined
before(async () => {
  gateway = await startGateway()
  foreignKey = await createApiKey(gateway.admin, await ensureProject(gateway.admin, 'other', 'other'), 'other')
})
after(() => gateway.stop())

const status = async (headers: Record<string, string>) => (await gateway.app.inject({ url: '/v1/projects', headers })).statusCode
const newKey = () => createApiKey(gateway.admin, gateway.factory.projectId, 'short-lived')

/** Asks again and again until it is so; of what is asked a second after the first time it must be. */
async function within1s(isSo: () => Promise<boolean>): Promise<void> {
  const fromMs = performance.now()
  for (;;) {
    const askedMs = performance.now()
    if (await isSo()) return
    assert.ok(askedMs - fromMs < 1000, 'it is not so after a second')
  }
}

test('a key is taken as a bearer token and as X-RGrid-Key', async () => {
  assert.equal(await status({ authorization: `Bearer ${gateway.key}` }), 200)
  assert.equal(await status({ authorization: `bearer ${gateway.key}` }), 200)
  assert.equal(await status({ 'x-rgrid-key': gateway.key }), 200)
})

for (const [what, headers] of [
  ['no key', {}],
  ['an empty key', { 'x-rgrid-key': '' }],
  ['a key that nobody has', { authorization: `Bearer rgrid_live_00000000_${'0'.repeat(32)}` }],
  ['another scheme', { authorization: 'Basic eDp5' }],
  ['a text of 8 kB', { authorization: `Bearer ${'x'.repeat(8000)}` }],
] as const) {
  test(`${what} is refused with 401`, async () => {
    const response = await gateway.app.inject({ url: '/v1/projects', headers })
    assert.equal(response.statusCode, 401)
    assert.equal(response.json().code, 'unauthenticated')
    assert.equal(response.headers['www-authenticate'], 'Bearer')
  })
}

test('a key that is revoked or expires works nowhere within a second', async () => {
  for (const column of ['revoked_at', 'expires_at']) {
    const key = await newKey()
    assert.equal(await status({ 'x-rgrid-key': key }), 200)
    await gateway.admin.query(sql.unsafe`update api_keys set ${sql.identifier([column])} = now() where hash = ${sql.binary(hashSecret(key))}`)
    await within1s(async () => (await status({ 'x-rgrid-key': key })) === 401)
  }
})

for (const [what, path] of [
  ['the stream of events', () => '/v1/events'],
  ['a followed log', (jobId: string) => `/v1/jobs/${jobId}/logs?follow=true`],
  ['a WebSocket', (jobId: string) => `/v1/jobs/${jobId}/logs/stream`],
] as const) {
  test(`${what} ends within a second when its key is revoked, and that of another key goes on`, async () => {
    address ??= await gateway.listen()
    const jobId = await gateway.factory.job()
    const [revoked, good] = [await newKey(), await newKey()]
    const open = async (key: string) => {
      const headers = { 'x-rgrid-key': key }
      if (what !== 'a WebSocket') {
        const stream = await openEvents(`${address}${path(jobId)}`, headers)
        await stream.next()
        return { ended: stream.until(() => false), close: stream.close }
      }
      const socket = new WebSocket(`${address?.replace('http', 'ws')}${path(jobId)}`, { headers } as unknown as string[])
      await once(socket, 'message')
      return { ended: once(socket, 'close'), close: () => socket.close() }
    }
    const [first, second] = [await open(revoked), await open(good)]
    let goes = true
    second.ended.then(
      () => (goes = false),
      () => (goes = false),
    )
    await gateway.admin.query(sql.unsafe`update api_keys set revoked_at = now() where hash = ${sql.binary(hashSecret(revoked))}`)
    // Before a stream that says nothing is given up by its reader.
    await withDeadline('the end of the stream', 10_000, () =>
      first.ended.then(
        () => undefined,
        () => undefined,
      ),
    )
    assert.ok(goes)
    second.close()
  })
}

test('the use of a key is noted, at most once a minute', async () => {
  const key = await newKey()
  const usedAt = () => gateway.admin.oneFirst(sql.unsafe`select last_used_at::text from api_keys where hash = ${sql.binary(hashSecret(key))}`)
  assert.equal(await usedAt(), null)
  await status({ 'x-rgrid-key': key })
  const first = await usedAt()
  assert.ok(first)
  await status({ 'x-rgrid-key': key })
  assert.equal(await usedAt(), first)
  await gateway.admin.query(sql.unsafe`update api_keys set last_used_at = now() - interval '2 minutes' where hash = ${sql.binary(hashSecret(key))}`)
  const old = await usedAt()
  // Whom it speaks for is remembered for half a second.
  await within1s(async () => {
    await status({ 'x-rgrid-key': key })
    return (await usedAt()) !== old
  })
})

test('the stored key is a hash, and no request writes a key into the log', async () => {
  const stored = JSON.stringify(await gateway.admin.any(sql.unsafe`select id, name, prefix, encode(hash, 'hex') as hash from api_keys`))
  const secret = gateway.key.split('_').at(-1) as string
  assert.ok(!stored.includes(secret))
  await gateway.call('POST', '/v1/projects/default/jobs', { spec: gateway.key })
  await gateway.app.inject({ url: `/v1/jobs/${gateway.key}?x=${gateway.key}`, headers: { authorization: `Bearer ${gateway.key}` } })
  assert.ok(gateway.logged.length > 0)
  assert.ok(!gateway.logged.join('').includes(secret))
})

test('another project’s objects are not found, whatever is asked of them', async () => {
  const jobId = await gateway.factory.job()
  const batchId = await gateway.factory.batch({ size: 1 })
  const foreign = { authorization: `Bearer ${foreignKey}` }
  for (const [method, url, payload] of [
    ['GET', `/v1/jobs/${jobId}`],
    ['POST', `/v1/jobs/${jobId}/cancel`],
    ['GET', `/v1/jobs/${jobId}/logs`],
    ['GET', `/v1/jobs/${jobId}/logs?follow=true`],
    ['GET', `/v1/jobs/${jobId}/artifacts`],
    ['GET', `/v1/batches/${batchId}`],
    ['POST', `/v1/batches/${batchId}/cancel`],
    ['GET', '/v1/projects/default'],
    ['GET', '/v1/projects/default/jobs'],
    ['POST', '/v1/projects/default/jobs', { spec: { runtime: 'bash', command: ['true'] } }],
    ['POST', '/v1/projects/default/batches', { template: { runtime: 'bash', command: ['true'] }, items: [{}] }],
    ['POST', '/v1/projects/default/files', { sha256: '0'.repeat(64), sizeBytes: 1 }],
  ] as const) {
    const response = await gateway.app.inject({ method, url, headers: foreign, ...(payload ? { payload } : {}) })
    assert.equal(response.statusCode, 404, `${method} ${url}: ${response.body}`)
    assert.equal(response.json().code, 'not_found')
  }
  assert.equal((await gateway.factory.jobState(jobId)).state, 'queued')
  const own = await gateway.app.inject({ url: `/v1/projects/other/jobs?batch=${batchId}`, headers: foreign })
  assert.deepEqual(own.json(), { items: [], nextCursor: null })
})

test('a key sees its project, and no other', async () => {
  const { items } = (await gateway.call('GET', '/v1/projects')).json()
  assert.deepEqual(
    items.map((project: { slug: string }) => project.slug),
    ['default'],
  )
  assert.equal((await gateway.call('GET', '/v1/projects/default')).json().id, gateway.factory.projectId)
})

test('nothing but health, the document, where to sign in and what nodes ask can be had without a key', async () => {
  const { paths } = (await gateway.app.inject('/openapi.json')).json()
  const open: string[] = []
  for (const [path, methods] of Object.entries<Record<string, unknown>>(paths)) {
    for (const method of Object.keys(methods)) {
      const response = await gateway.app.inject({ method: method.toUpperCase() as 'GET', url: path.replace(/\{\w+\}/g, 'x') })
      if (response.statusCode !== 401) open.push(`${method} ${path}`)
    }
  }
  assert.deepEqual(open.sort(), ['get /v1/auth', 'post /v1/nodes/enrol', 'post /v1/nodes/{id}/credentials'])
})
