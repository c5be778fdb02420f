import assert from 'node:assert/strict'
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http'
import { after, before, test } from 'node:test'
import { brotliDecompressSync, gunzipSync } from 'node:zlib'
import { startGateway, TEST_HTTP, type TestGateway } from '../../harness/gateway.ts'
import { rawConnection } from '../../harness/raw-http.ts'

const ORIGIN = 'https://app.example.com'
let gateway: TestGateway
let url: string
let jobId: string
before(async () => {
  gateway = await startGateway({ http: { ...TEST_HTTP, corsOrigins: [ORIGIN, 'http://localhost:3000'], hstsSeconds: 31_536_000 } })
  url = await gateway.listen()
  jobId = await gateway.factory.job()
  for (let n = 0; n < 10; n++) await gateway.factory.job()
})
after(() => gateway.stop())

interface Reply {
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
}

/** As it comes over the wire: nothing is decompressed. */
function ask(path: string, headers: Record<string, string> = {}, method = 'GET', body?: unknown): Promise<Reply> {
  return new Promise((resolve, reject) => {
    const json: Record<string, string> = body === undefined ? {} : { 'content-type': 'application/json' }
    const request = httpRequest(`${url}${path}`, { method, headers: { authorization: `Bearer ${gateway.key}`, ...json, ...headers } }, (response) => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => pieces.push(piece))
      response.on('end', () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(pieces) }))
      response.on('error', reject)
    })
    request.on('error', reject)
    request.end(body === undefined ? undefined : JSON.stringify(body))
  })
}

const REVALIDATED = () => [`/v1/jobs/${jobId}`, '/v1/projects/default/jobs', `/v1/jobs/${jobId}/artifacts`, '/v1/projects', '/v1/nodes', '/openapi.json']

test('what one has already is not sent again: 304 without a body, until it changes', async () => {
  for (const path of REVALIDATED()) {
    const first = await ask(path)
    assert.equal(first.status, 200)
    const etag = String(first.headers.etag)
    assert.match(etag, /^W\/"[\w-]+"$/, path)
    assert.equal(first.headers['cache-control'], 'private, no-cache')
    assert.match(String(first.headers.vary), /authorization/)
    for (const known of [etag, etag.slice(2), `"other", ${etag}`, '*']) {
      const again = await ask(path, { 'if-none-match': known })
      assert.equal(again.status, 304, `${path} ${known}`)
      assert.equal(again.body.length, 0)
      assert.equal(again.headers.etag, etag)
      assert.equal(again.headers['content-type'], undefined)
      assert.ok(again.headers['x-request-id'])
    }
    assert.equal((await ask(path, { 'if-none-match': 'W/"other"' })).status, 200)
    assert.equal((await ask(path, { 'if-none-match': etag, 'accept-encoding': 'br' })).status, 304)
  }
  const before = String((await ask(`/v1/jobs/${jobId}`)).headers.etag)
  assert.equal((await ask(`/v1/jobs/${jobId}/cancel`, {}, 'POST')).status, 200)
  const changed = await ask(`/v1/jobs/${jobId}`, { 'if-none-match': before })
  assert.equal(changed.status, 200)
  assert.equal(JSON.parse(String(changed.body)).state, 'cancelled')
})

test('without a credential nothing is revalidated, and all else is not to be kept', async () => {
  const { headers } = await ask('/v1/projects')
  assert.equal((await ask('/v1/projects', { authorization: 'Bearer x', 'if-none-match': '*' })).status, 401)
  assert.equal((await ask('/v1/jobs/job_none', { 'if-none-match': '*' })).status, 404)
  assert.ok(headers.etag)
  for (const path of ['/v1/me', '/v1/auth', '/v1/jobs/job_none', '/healthz', `/v1/jobs/${jobId}/logs`]) {
    const reply = await ask(path)
    assert.equal(reply.headers['cache-control'], 'no-store', path)
    assert.equal(reply.headers.etag, undefined)
  }
})

test('larger answers are compressed as the client asks, smaller ones are not', async () => {
  const path = '/v1/projects/default/jobs?limit=10'
  const plain = await ask(path)
  assert.ok(plain.body.length > 2048)
  assert.equal(plain.headers['content-encoding'], undefined)
  for (const [accept, coding, open] of [
    ['gzip', 'gzip', gunzipSync],
    ['br', 'br', brotliDecompressSync],
    ['gzip, deflate, br', 'br', brotliDecompressSync],
    ['br;q=0, gzip', 'gzip', gunzipSync],
  ] as const) {
    const packed = await ask(path, { 'accept-encoding': accept })
    assert.equal(packed.headers['content-encoding'], coding, accept)
    assert.ok(packed.body.length < plain.body.length / 2)
    assert.match(String(packed.headers.vary), /accept-encoding/)
    assert.equal(packed.headers.etag, plain.headers.etag)
    assert.deepEqual(JSON.parse(open(packed.body).toString()), JSON.parse(plain.body.toString()))
  }
  for (const [small, accept] of [
    [path, 'identity'],
    [path, 'deflate'],
    ['/v1/projects/default', 'gzip'],
  ] as const)
    assert.equal((await ask(small, { 'accept-encoding': accept })).headers['content-encoding'], undefined)
})

test('what holds a secret is never compressed', async () => {
  const padded = {
    name: 'x'.repeat(100),
    scopes: ['jobs:read', 'jobs:write', 'logs:read', 'files:read', 'files:write', 'webhooks:read', 'keys:read', 'audit:read'],
  }
  const key = await ask('/v1/projects/default/keys', { 'accept-encoding': 'gzip, br' }, 'POST', padded)
  assert.equal(key.status, 201)
  assert.match(JSON.parse(key.body.toString()).key, /^rgrid_live_/)
  const hook = { url: `https://example.com/${'x'.repeat(1500)}` }
  const webhook = await ask('/v1/projects/default/webhooks', { 'accept-encoding': 'gzip, br' }, 'POST', hook)
  assert.ok(webhook.body.length > 1024)
  assert.match(JSON.parse(webhook.body.toString()).secret, /^whsec_/)
  const rotated = await ask(`/v1/webhooks/${JSON.parse(webhook.body.toString()).id}/rotate`, { 'accept-encoding': 'gzip, br' }, 'POST', {})
  assert.equal(rotated.status, 200)
  for (const { headers } of [key, webhook, rotated]) assert.equal(headers['content-encoding'], undefined)
})

test('followed logs and events are not compressed, and their first event comes at once', async () => {
  for (const path of ['/v1/events', `/v1/jobs/${await gateway.factory.job()}/logs?follow=true`]) {
    const follower = await rawConnection(url)
    follower.write(`GET ${path} HTTP/1.1\r\nhost: x\r\norigin: ${ORIGIN}\r\naccept-encoding: gzip, br\r\nauthorization: Bearer ${gateway.key}\r\n\r\n`)
    const startedMs = performance.now()
    await follower.received(/event: (ready|status)\n[\s\S]*\n\n/)
    // Before the first comment, which comes after ten seconds, could push it out.
    assert.ok(performance.now() - startedMs < 9000)
    const text = follower.sofar()
    assert.doesNotMatch(text, /content-encoding/i)
    assert.match(text, /content-type: text\/event-stream/)
    // What every answer carries stands there too.
    for (const header of ['x-request-id', 'x-content-type-options', 'cache-control: no-store', `access-control-allow-origin: ${ORIGIN}`])
      assert.ok(text.includes(header), header)
    follower.close()
  }
})

test('a request id of harmless characters is taken over, in the answer, in problems and in the log; another one is made anew', async () => {
  const given = await ask('/v1/jobs/job_none', { 'x-request-id': 'trace-4711_a.b' })
  assert.equal(given.headers['x-request-id'], 'trace-4711_a.b')
  assert.equal(JSON.parse(given.body.toString()).requestId, 'trace-4711_a.b')
  assert.ok(gateway.logged.some((line) => line.includes('"requestId":"trace-4711_a.b"')))
  for (const bad of ['a b', 'x'.repeat(65), '"quoted"', 'ä', '<script>', '']) {
    const made = await ask('/v1/jobs/job_none', { 'x-request-id': bad })
    assert.match(String(made.headers['x-request-id']), /^[0-9a-f-]{36}$/, bad)
  }
})

test('pages of the origins that are configured may call it, and read what clients need; others may not', async () => {
  const preflight = await ask(
    '/v1/projects/default/jobs',
    { origin: ORIGIN, 'access-control-request-method': 'POST', 'access-control-request-headers': 'authorization' },
    'OPTIONS',
  )
  assert.equal(preflight.status, 204)
  assert.equal(preflight.headers['access-control-allow-origin'], ORIGIN)
  assert.match(String(preflight.headers['access-control-allow-methods']), /POST.*DELETE/)
  assert.match(String(preflight.headers['access-control-allow-headers']), /Authorization.*Idempotency-Key/)
  assert.equal(preflight.headers['access-control-max-age'], '3600')
  assert.equal(preflight.headers['access-control-allow-credentials'], undefined)
  for (const path of ['/v1/projects', '/v1/jobs/job_none', '/nothing']) {
    const reply = await ask(path, { origin: ORIGIN })
    assert.equal(reply.headers['access-control-allow-origin'], ORIGIN, path)
    for (const name of ['ETag', 'Link', 'RateLimit', 'Retry-After', 'X-Request-Id', 'Location'])
      assert.match(String(reply.headers['access-control-expose-headers']), new RegExp(name))
    assert.match(String(reply.headers.vary), /origin/i)
  }
  for (const origin of ['https://evil.example', `${ORIGIN}.evil.example`, 'null'])
    assert.equal((await ask('/v1/projects', { origin })).headers['access-control-allow-origin'], undefined, origin)
})

test('every answer says to browsers that it is no page', async () => {
  for (const path of ['/v1/projects', '/nothing', '/healthz', '/openapi.json']) {
    const { headers } = await ask(path)
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.equal(headers['content-security-policy'], "default-src 'none'; frame-ancestors 'none'")
    assert.equal(headers['referrer-policy'], 'no-referrer')
    assert.equal(headers['strict-transport-security'], 'max-age=31536000; includeSubDomains')
    assert.equal(headers['x-powered-by'], undefined)
    assert.equal(headers.server, undefined)
  }
})

test('/docs shows the document, whole from here: its policy allows no other host, and its page names none', async () => {
  const page = await ask('/docs')
  assert.equal(page.status, 200)
  const policy = String(page.headers['content-security-policy'])
  assert.match(policy, /^default-src 'none'; script-src 'self'; style-src 'self'; /)
  assert.doesNotMatch(policy, /https?:|unsafe|\*/)
  const html = page.body.toString()
  assert.doesNotMatch(html, /(src|href)="(https?:)?\/\//)
  assert.doesNotMatch(html, /<script>|<style|style=/)
  for (const [, path] of html.matchAll(/(?:src|href)="([^"]+)"/g)) {
    const asset = await ask(String(path), { 'accept-encoding': 'br' })
    assert.equal(asset.status, 200, path)
    assert.ok(asset.body.length > 0)
  }
  assert.equal((await ask('/docs/json')).body.toString(), (await ask('/openapi.json')).body.toString())
})
