import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { afterEach, beforeEach, test } from 'node:test'
import { monotonicMs } from '#core/service/time.ts'
import type { Oidc, OidcTiming } from '../../../gateway/oidc/oidc.ts'
import { createSigningKey, type Issuer, oidcFor, startIssuer } from '../../harness/issuer.ts'

let issuer: Issuer
const made: Oidc[] = []
beforeEach(async () => {
  issuer = await startIssuer()
})
afterEach(async () => {
  for (const oidc of made.splice(0)) await oidc.stop()
  await issuer.stop()
})

const AT_ONCE = { pauseMs: 0, cooldownMs: 0 }
const HOUR_MS = 3_600_000
function oidcWith(timing: Partial<OidcTiming>, entry: Record<string, unknown> = {}): Oidc {
  const { oidc } = oidcFor(issuer, entry, timing)
  made.push(oidc)
  return oidc
}

const unavailable = (oidc: Oidc, token: string) => assert.rejects(oidc.verify(token), { name: 'RGridError', code: 'unavailable' })
const refused = (oidc: Oidc, token: string) => assert.rejects(oidc.verify(token), { name: 'RGridError', code: 'unauthenticated' })
const down = (_: unknown, response: ServerResponse) => response.destroy()

test('keys that are known serve on while the issuer is away', async () => {
  const oidc = oidcWith(AT_ONCE)
  await oidc.verify(await issuer.sign())
  issuer.answer = down
  await oidc.verify(await issuer.sign())
  await refused(oidc, await issuer.sign({}, {}, createSigningKey()))
  await oidc.verify(await issuer.sign())
})

test('with no keys and no issuer nothing can be said, and it mends itself', async () => {
  const oidc = oidcWith(AT_ONCE)
  issuer.answer = down
  await unavailable(oidc, await issuer.sign())
  issuer.answer = undefined
  await oidc.verify(await issuer.sign())
})

test('keys that are too old do not serve', async () => {
  const oidc = oidcWith({ ...AT_ONCE, maxAgeMs: 0 })
  await oidc.verify(await issuer.sign())
  issuer.answer = down
  await unavailable(oidc, await issuer.sign())
})

for (const [what, answer] of [
  ['no JSON', (response) => response.end('<html>')],
  ['another document', (response) => response.end('{"keys":"x"}')],
  ['null', (response) => response.end('null')],
  ['a list', (response) => response.end('[]')],
  ['status 500', (response) => response.writeHead(500).end('{"keys":[]}')],
  ['nothing', (response) => response.end()],
  ['more than it may', (response) => response.end(`{"keys":[],"x":"${'x'.repeat(2 ** 20)}"}`)],
  ['half of it', (response) => void response.writeHead(200, { 'content-length': '1000' }).write('{"keys":[', () => response.destroy())],
] as const satisfies readonly (readonly [string, (response: ServerResponse) => unknown])[]) {
  test(`an issuer that answers ${what} is away, and spoils no keys that are known`, async () => {
    const [fresh, warm] = [oidcWith(AT_ONCE), oidcWith(AT_ONCE)]
    await warm.verify(await issuer.sign())
    issuer.answer = (_, response) => void answer(response)
    await unavailable(fresh, await issuer.sign())
    await refused(warm, await issuer.sign({}, {}, createSigningKey()))
    await warm.verify(await issuer.sign())
  })
}

test('a redirect is not followed', async () => {
  const inner = await startIssuer()
  issuer.answer = (_, response) => response.writeHead(302, { location: `${inner.url}/keys` }).end()
  await unavailable(oidcWith(AT_ONCE), await issuer.sign({}, {}, inner.key))
  assert.deepEqual(inner.asked, [])
  await inner.stop()
})

test('an issuer that is slow holds nobody for long, and those with a known key not at all', async () => {
  const [fresh, warm] = [oidcWith({ ...AT_ONCE, timeoutMs: 100 }), oidcWith(AT_ONCE)]
  await warm.verify(await issuer.sign())
  const hanging = Promise.withResolvers<ServerResponse>()
  issuer.answer = (_, response) => hanging.resolve(response)
  const startedMs = monotonicMs()
  await unavailable(fresh, await issuer.sign())
  // By default it is five seconds.
  assert.ok(monotonicMs() - startedMs < 4500)
  issuer.answer = (_, response) => hanging.resolve(response)
  const waiting = warm.verify(await issuer.sign({}, {}, createSigningKey()))
  await warm.verify(await issuer.sign())
  const response = await hanging.promise
  await warm.stop()
  await assert.rejects(waiting, { code: 'unauthenticated' })
  if (!response.closed) await once(response, 'close')
})

test('one that sends its answer drop by drop is slow too', async () => {
  issuer.answer = (_, response) => void response.writeHead(200).write('{"keys":[')
  await unavailable(oidcWith({ ...AT_ONCE, timeoutMs: 100 }), await issuer.sign())
})

test('a key that is new is found, and one that was withdrawn goes with the next reload', async () => {
  const oidc = oidcWith(AT_ONCE)
  const old = await issuer.sign()
  await oidc.verify(old)
  const next = createSigningKey()
  issuer.keys = [next, issuer.key]
  await oidc.verify(await issuer.sign({}, {}, next))
  await oidc.verify(old)
  issuer.keys = [next]
  await oidc.start()
  // The first round of the service asks at once; a key nobody has waits for the same answer.
  await refused(oidc, await issuer.sign({}, {}, createSigningKey()))
  await refused(oidc, old)
  await oidc.verify(await issuer.sign({}, {}, next))
})

test('a thousand unknown keys cause one request', async () => {
  const oidc = oidcWith({ pauseMs: 0, cooldownMs: HOUR_MS })
  const tokens = await Promise.all(Array.from({ length: 1000 }, () => issuer.sign({}, { kid: `k${Math.random()}` })))
  await refused(oidc, tokens[0] as string)
  await Promise.all(tokens.map((token) => refused(oidc, token)))
  assert.equal(issuer.asked.length, 1)
})

for (const [what, answer] of [
  ['away', down],
  ['speaking nonsense', (_: unknown, response: ServerResponse) => response.end('{"keys":"x"}')],
] as const) {
  test(`nor do they cause more while the issuer is ${what}`, async () => {
    const [fresh, warm] = [oidcWith({ pauseMs: HOUR_MS }), oidcWith({ pauseMs: HOUR_MS, cooldownMs: 0 })]
    await warm.verify(await issuer.sign())
    issuer.answer = (request, response) => void answer(request, response)
    issuer.asked = []
    for (let count = 0; count < 100; count++) {
      await unavailable(fresh, await issuer.sign())
      await refused(warm, await issuer.sign({}, { kid: `k${count}` }))
    }
    assert.equal(issuer.asked.length, 1, 'warm has asked a moment ago, fresh once')
  })
}

test('issuers nobody configured cause no request', async () => {
  const oidc = oidcWith(AT_ONCE)
  for (let count = 0; count < 100; count++) await refused(oidc, await issuer.sign({ iss: `https://i${count}.example` }))
  assert.deepEqual(issuer.asked, [])
})

test('without jwksUrl the address is found by discovery, once', async () => {
  const oidc = oidcWith(AT_ONCE, { jwksUrl: undefined })
  await oidc.verify(await issuer.sign())
  await oidc.verify(await issuer.sign())
  assert.deepEqual(issuer.asked, ['/.well-known/openid-configuration', '/keys'])
})

for (const [what, change] of [
  ['another issuer', { issuer: 'https://evil.example' }],
  ['a slash more', { issuer: 'URL/' }],
  ['keys that are not secure', { jwks_uri: 'http://10.0.0.1/keys' }],
  ['keys of another scheme', { jwks_uri: 'file:///etc/passwd' }],
  ['no keys', { jwks_uri: undefined }],
] as const) {
  test(`a discovery document with ${what} is not believed`, async () => {
    const document = { issuer: issuer.url, jwks_uri: `${issuer.url}/keys`, ...change }
    if (document.issuer === 'URL/') document.issuer = `${issuer.url}/`
    issuer.metadata = document
    await unavailable(oidcWith(AT_ONCE, { jwksUrl: undefined }), await issuer.sign())
    assert.ok(!issuer.asked.includes('/keys'))
  })
}
