import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { request } from 'node:http'
import { afterEach, beforeEach, test } from 'node:test'
import { type Callback, openCallback } from '../../../cli/sign-in/callback-server.ts'
import { createPkce, randomWord } from '../../../cli/sign-in/pkce.ts'

const ISSUER = 'https://a.example'
let callback: Callback
beforeEach(async () => {
  callback = await openCallback('the-state', ISSUER)
})
afterEach(() => callback.close())

const status = async (query: string, path = '') => (await fetch(`${callback.redirectUri}${path}?${query}`)).status

test('the challenge is the SHA-256 of a verifier of 43 characters, new each time (RFC 7636)', () => {
  const { verifier, challenge } = createPkce()
  assert.match(verifier, /^[A-Za-z0-9_-]{43}$/)
  assert.equal(challenge, createHash('sha256').update(verifier).digest('base64url'))
  assert.equal(new Set(Array.from({ length: 100 }, randomWord)).size, 100)
})

test('the code of the answer with the state is handed over', async () => {
  assert.match(callback.redirectUri, /^http:\/\/127\.0\.0\.1:\d+\/callback$/)
  const response = await fetch(`${callback.redirectUri}?code=c%2B1&state=the-state&iss=${encodeURIComponent(ISSUER)}`)
  assert.equal(response.status, 200)
  assert.equal(response.headers.get('cache-control'), 'no-store')
  assert.equal(response.headers.get('content-security-policy'), "default-src 'none'")
  assert.equal(await callback.code, 'c+1')
})

for (const [what, query] of [
  ['another state', 'code=evil&state=other'],
  ['no state', 'code=evil'],
  ['an error with another state', 'error=access_denied&state=other'],
  ['another issuer', 'code=evil&state=the-state&iss=https://evil.example'],
  ['no code', 'state=the-state'],
  ['an empty code', 'state=the-state&code='],
] as const) {
  test(`${what} changes nothing: the right answer still counts`, async () => {
    assert.equal(await status(query), 400)
    assert.equal(await status('code=good&state=the-state'), 200)
    assert.equal(await callback.code, 'good')
  })
}

test('a second answer is refused', async () => {
  assert.equal(await status('code=first&state=the-state'), 200)
  assert.equal(await status('code=second&state=the-state'), 410)
  assert.equal(await callback.code, 'first')
})

test('other paths, methods and host names are refused', async () => {
  assert.equal(await status('code=evil&state=the-state', '/x'), 404)
  assert.equal((await fetch(new URL('/favicon.ico', callback.redirectUri))).status, 404)
  assert.equal((await fetch(`${callback.redirectUri}?code=evil&state=the-state`, { method: 'POST' })).status, 405)
  const { promise, resolve } = Promise.withResolvers<number | undefined>()
  request(`${callback.redirectUri}?code=evil&state=the-state`, { headers: { host: 'evil.example' } }, (response) => resolve(response.resume().statusCode)).end()
  assert.equal(await promise, 400)
  await status('code=good&state=the-state')
  assert.equal(await callback.code, 'good')
})

test('what the user refused ends it in words, and what the issuer says is fit for a terminal', async () => {
  const response = await fetch(`${callback.redirectUri}?error=access_denied&state=the-state&error_description=<script>`)
  assert.doesNotMatch(await response.text(), /script>/)
  await assert.rejects(callback.code, { code: 'forbidden', message: 'the sign-in was refused, or cancelled in the browser' })
  const other = await openCallback('s', ISSUER)
  await fetch(`${other.redirectUri}?error=server_error&state=s&error_description=%1b]0;x`)
  await assert.rejects(other.code, { code: 'forbidden', message: 'the issuer does not sign you in (server_error: \\x1b]0;x)' })
  await other.close()
})
