import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type DevicePrompt, signInByDevice } from '../../../cli/sign-in/device-flow.ts'
import { type Answer, startTokenEndpoint } from '../../harness/token-endpoint.ts'

const GRANT = { device_code: 'dev', user_code: 'ABCD-EFGH', verification_uri: 'https://a.example/device', expires_in: 600, interval: 2 }
const TOKEN: Answer = [200, { access_token: 'the-token', token_type: 'Bearer' }]
const error = (name: string): Answer => [400, { error: name }]

/** Signs in against a script of answers, with a clock that only the pauses move. */
async function run(...answers: Answer[]) {
  const endpoint = await startTokenEndpoint(answers)
  const pauses: number[] = []
  const shown: DevicePrompt[] = []
  let nowMs = 0
  const result = await signInByDevice(endpoint.login, {
    show: (prompt) => shown.push(prompt),
    now: () => nowMs,
    sleep: async (ms) => {
      pauses.push(ms / 1000)
      nowMs += ms
    },
  })
    .then(
      (token) => ({ token, error: undefined }),
      (error: Error) => ({ token: undefined, error }),
    )
    .finally(() => endpoint.stop())
  return { ...result, pauses, shown, forms: endpoint.forms }
}

test('asks at the given interval until the token comes, with the fields of RFC 8628', async () => {
  const { token, pauses, shown, forms } = await run([200, GRANT], error('authorization_pending'), error('authorization_pending'), TOKEN)
  assert.equal(token, 'the-token')
  assert.deepEqual(pauses, [2, 2, 2])
  assert.equal(shown[0]?.code, 'ABCD-EFGH')
  assert.equal(shown[0]?.url, 'https://a.example/device')
  const target = { audience: 'https://rgrid.test', resource: 'https://rgrid.test' }
  assert.deepEqual(forms.slice(0, 2), [
    { path: '/device', fields: { client_id: 'rgrid-cli', scope: 'openid', ...target } },
    { path: '/token', fields: { grant_type: 'urn:ietf:params:oauth:grant-type:device_code', device_code: 'dev', client_id: 'rgrid-cli', ...target } },
  ])
})

test('slow_down adds five seconds for good', async () => {
  const { pauses, token } = await run([200, GRANT], error('slow_down'), error('authorization_pending'), error('slow_down'), TOKEN)
  assert.deepEqual(pauses, [2, 7, 7, 12])
  assert.equal(token, 'the-token')
})

test('without an interval it is five seconds', async () => {
  const { pauses } = await run([200, { ...GRANT, interval: undefined }], TOKEN)
  assert.deepEqual(pauses, [5])
})

test('a connection that breaks, and a server in trouble, double the pause', async () => {
  const { pauses, token } = await run([200, GRANT], 'break', [503, {}], [200, '<html>'], TOKEN)
  assert.deepEqual(pauses, [2, 4, 8, 16])
  assert.equal(token, 'the-token')
})

for (const [name, words] of [
  ['expired_token', /not entered in time/],
  ['access_denied', /refused, or cancelled/],
  ['invalid_grant', /does not sign you in \(invalid_grant\)/],
] as const) {
  test(`${name} ends it`, async () => {
    const { error: thrown, forms } = await run([200, GRANT], error(name), TOKEN)
    assert.match(thrown?.message ?? '', words)
    assert.equal(forms.length, 2)
  })
}

test('after the life of the code nothing is asked any more', async () => {
  const { error: thrown, pauses, forms } = await run([200, { ...GRANT, expires_in: 5 }], error('authorization_pending'), error('authorization_pending'), TOKEN)
  assert.match(thrown?.message ?? '', /not entered in time/)
  assert.deepEqual([pauses, forms.length], [[2, 2], 3])
})

for (const [what, answer] of [
  ['an error', [400, { error: 'unauthorized_client' }]],
  ['no code', [200, { ...GRANT, user_code: 7 }]],
  ['an address that is not secure', [200, { ...GRANT, verification_uri: 'http://a.example/device' }]],
  ['a redirect', [302, {}]],
  ['nonsense', [200, 'x']],
] as const satisfies readonly (readonly [string, Answer])[]) {
  test(`${what} for the first request ends it before anybody is told anything`, async () => {
    const { error: thrown, shown } = await run(answer, TOKEN)
    assert.equal(thrown?.name, 'RGridError')
    assert.deepEqual(shown, [])
  })
}

test('an answer without a bearer token is none', async () => {
  for (const fields of [
    { token_type: 'Bearer' },
    { access_token: 't' },
    { access_token: 't', token_type: 'DPoP' },
    { access_token: 7, token_type: 'Bearer' },
  ]) {
    assert.match((await run([200, GRANT], [200, fields])).error?.message ?? '', /no bearer token/)
  }
})

test('what the issuer wants shown cannot touch the terminal', async () => {
  const { shown } = await run([200, { ...GRANT, user_code: 'A\u001b]0;x\u0007', verification_uri_complete: 'javascript:alert(1)' }], TOKEN)
  assert.deepEqual([shown[0]?.code, shown[0]?.urlWithCode], ['A\\x1b]0;x\\x07', null])
})
