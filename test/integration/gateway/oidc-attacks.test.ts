import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { afterEach, beforeEach, test } from 'node:test'
import { base64url, type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose'
import { RGridError } from '#core/errors.ts'
import { nowMs } from '#core/service/time.ts'
import type { Oidc } from '../../../gateway/oidc/oidc.ts'
import { createSigningKey, type Issuer, oidcFor, startIssuer } from '../../harness/issuer.ts'

let issuer: Issuer
let oidc: Oidc
let logged: string[]
beforeEach(async () => {
  issuer = await startIssuer()
  const made = oidcFor(issuer, { authorizedParties: ['https://app.example'] }, { pauseMs: 0 })
  oidc = made.oidc
  logged = made.logged
})
afterEach(async () => {
  await oidc.stop()
  await issuer.stop()
})

/** It is refused, in the words of every refusal; the reason is in the log, and the token is not. */
async function refused(token: string, reason?: RegExp): Promise<void> {
  await assert.rejects(oidc.verify(token), (error: unknown) => {
    assert.ok(error instanceof RGridError)
    assert.equal(error.code, 'unauthenticated')
    assert.equal(error.message, 'this token is not valid, or not any more; sign in again')
    assert.equal(error.cause, undefined)
    return true
  })
  const line = logged.at(-1) ?? ''
  if (reason) assert.match(line, reason)
  assert.match(line, /"level":20/)
  const signature = token.split('.')[2]
  if (signature && signature.length > 8) assert.ok(!logged.join('').includes(signature), 'the token was logged')
}

const seconds = () => Math.floor(nowMs() / 1000)
const part = (value: unknown) => base64url.encode(JSON.stringify(value))
const goodClaims = () => ({ iss: issuer.url, aud: issuer.audience, sub: 'user_1', iat: seconds(), exp: seconds() + 60 })

test('a good token is taken', async () => {
  const identity = await oidc.verify(await issuer.sign({ azp: 'https://app.example', name: 'Ada' }))
  assert.equal(identity.issuer, issuer.url)
  assert.equal(identity.subject, 'user_1')
  assert.equal(identity.name, 'Ada')
  assert.deepEqual(issuer.asked, ['/keys'])
})

for (const alg of ['none', 'None', 'NONE', '']) {
  test(`alg "${alg}" is refused, with and without a signature`, async () => {
    const signature = (await issuer.sign()).split('.')[2]
    await refused(`${part({ alg })}.${part(goodClaims())}.`)
    await refused(`${part({ alg, kid: issuer.key.kid })}.${part(goodClaims())}.${signature}`)
    assert.deepEqual(issuer.asked, [])
  })
}

test('HS256 with the public key as the secret is refused', async () => {
  const { publicKey } = issuer.key
  const secrets = [
    publicKey.export({ type: 'spki', format: 'pem' }) as string,
    (publicKey.export({ type: 'spki', format: 'pem' }) as string).trim(),
    JSON.stringify(publicKey.export({ format: 'jwk' })),
  ].map((text) => Buffer.from(text))
  for (const secret of [...secrets, publicKey.export({ type: 'spki', format: 'der' })]) {
    const token = await new SignJWT(goodClaims()).setProtectedHeader({ alg: 'HS256', kid: issuer.key.kid }).sign(secret)
    await refused(token, /alg/)
  }
})

test('an algorithm that is not configured is refused, though the issuer has a key for it', async () => {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  issuer.keys.push({ kid: 'rsa', privateKey, publicKey })
  const token = await new SignJWT(goodClaims()).setProtectedHeader({ alg: 'RS512', kid: 'rsa' }).sign(privateKey)
  await refused(token, /alg/)
})

test('the kid of another key, one that nobody has, and a key of somebody else are refused', async () => {
  const other = createSigningKey()
  issuer.keys.push(other)
  await refused(await issuer.sign({}, { kid: other.kid }), /signature verification failed/)
  await refused(await issuer.sign({}, { kid: 'nobody' }), /no applicable key/)
  await refused(await issuer.sign({}, {}, createSigningKey(issuer.key.kid)), /signature verification failed/)
})

for (const kid of [
  '../../../../dev/null',
  '/dev/null',
  'file:///etc/passwd',
  'https://evil.example/keys',
  "x' or '1'='1",
  '\u0000',
  '__proto__',
  'constructor',
  '|id',
  '0',
]) {
  test(`the kid ${JSON.stringify(kid)} leads nowhere`, async () => {
    await refused(await issuer.sign({}, { kid }), /no applicable key/)
    const empty = await new SignJWT(goodClaims()).setProtectedHeader({ alg: 'HS256', kid }).sign(new Uint8Array(32))
    await refused(empty)
    assert.deepEqual([...new Set(issuer.asked)], ['/keys'])
  })
}

test('a kid that is no text is refused', async () => {
  for (const kid of [7, null, {}, ['a'], true]) await refused(`${part({ alg: 'ES256', kid })}.${part(goodClaims())}.${'A'.repeat(86)}`)
})

test('keys that the token brings itself, or points at, are not looked at', async () => {
  const evil = createSigningKey()
  const attacker = await startIssuer()
  attacker.keys = [evil]
  const jwk = { ...evil.publicKey.export({ format: 'jwk' }), kid: evil.kid, alg: 'ES256' }
  const headers = [{ jwk }, { jku: `${attacker.url}/keys` }, { x5u: `${attacker.url}/keys` }, { x5c: ['AAAA'] }, { jku: `${issuer.url}/other` }]
  for (const header of headers) {
    await refused(await issuer.sign({}, header as Partial<JWTHeaderParameters>, evil), /no applicable key/)
    await refused(await issuer.sign({}, { ...header, kid: issuer.key.kid } as Partial<JWTHeaderParameters>, evil), /signature verification failed/)
  }
  assert.deepEqual(attacker.asked, [])
  assert.deepEqual([...new Set(issuer.asked)], ['/keys'])
  await attacker.stop()
})

test('a header that must be understood and is not is refused', async () => {
  await refused(`${part({ alg: 'ES256', kid: issuer.key.kid, crit: ['x'], x: 1 })}.${part(goodClaims())}.${'A'.repeat(86)}`)
  await refused(`${part({ alg: 'ES256', kid: issuer.key.kid, crit: ['b64'], b64: false })}.${part(goodClaims())}.${'A'.repeat(86)}`)
})

const late = () => ({ iat: seconds() - 100, exp: seconds() - 6 })
for (const [what, claims, reason] of [
  ['another issuer', () => ({ iss: 'https://evil.example' }), /no such issuer/],
  ['an issuer with a slash more', () => ({ iss: `${issuer.url}/` }), /no such issuer/],
  ['no issuer', () => ({ iss: undefined }), /no such issuer/],
  ['a list of issuers', () => ({ iss: [issuer.url] }), /no such issuer/],
  ['another audience', () => ({ aud: 'https://other.example' }), /aud/],
  ['an audience that begins alike', () => ({ aud: `${issuer.audience}.evil.example` }), /aud/],
  ['a list of other audiences', () => ({ aud: ['a', 'b'] }), /aud/],
  ['no audience', () => ({ aud: undefined }), /aud/],
  ['another authorised party', () => ({ azp: 'https://evil.example' }), /azp/],
  ['an authorised party that is a list', () => ({ azp: ['https://app.example'] }), /azp/],
  ['another client', () => ({ client_id: 'evil' }), /azp/],
  ['a good party beside another client', () => ({ azp: 'https://app.example', client_id: 'evil' }), /azp/],
  ['an end that is past', late, /exp/],
  ['no end', () => ({ exp: undefined }), /exp/],
  ['an end that is no number', () => ({ exp: '9999999999' }), /exp/],
  ['an end beyond all time', () => ({ exp: 1e300 }), /exp/],
  ['a beginning to come', () => ({ nbf: seconds() + 60 }), /nbf/],
  ['a signature of the future', () => ({ iat: seconds() + 60 }), /iat/],
  ['no time of issue', () => ({ iat: undefined }), /iat/],
  ['no subject', () => ({ sub: undefined }), /sub/],
  ['an empty subject', () => ({ sub: '' }), /sub/],
  ['a subject that is a list', () => ({ sub: ['user_1'] }), /sub/],
] as const) {
  test(`a token with ${what} is refused`, async () => refused(await issuer.sign(claims() as unknown as JWTPayload), reason))
}

test('clocks may differ by five seconds and no more', async () => {
  await oidc.verify(await issuer.sign({ exp: seconds(), iat: seconds() - 60 }))
  await oidc.verify(await issuer.sign({ iat: seconds() + 3, nbf: seconds() + 3 }))
})

test('other documents that the issuer signs are no tokens', async () => {
  for (const typ of ['logout+jwt', 'secevent+jwt', 'dpop+jwt', 'JOSE']) await refused(await issuer.sign({}, { typ }), /typ/)
  for (const typ of ['at+jwt', 'application/at+jwt', 'jwt']) await oidc.verify(await issuer.sign({}, { typ }))
})

test('a payload, header or signature that was changed is refused', async () => {
  const [header, payload, signature] = (await issuer.sign()).split('.') as [string, string, string]
  await refused(`${header}.${part({ ...goodClaims(), sub: 'admin' })}.${signature}`, /signature verification failed/)
  await refused(`${part({ alg: 'ES256', kid: issuer.key.kid })}.${payload}.${signature}`, /signature verification failed/)
  await refused(`${header}.${payload}.${'A'.repeat(86)}`, /signature verification failed/)
  await refused(`${header}.${payload}.${signature.slice(0, -4)}`)
  await refused(`${header}.${payload}.`)
})

test('what is no token at all is refused', async () => {
  for (const text of ['', '.', '..', 'a.b.c', 'x', '....', `${part({})}.${part([])}.x`, `${part(7)}.${part(null)}.x`, 'é.ü.ß', '\u0000'.repeat(9)])
    await refused(text)
})

test('a token of more than 8 KiB is refused before anything of it is read', async () => {
  await refused(await issuer.sign({ filler: 'x'.repeat(9000) }), /longer than a token may be/)
  await refused(`${'['.repeat(1_000_000)}`, /longer than a token may be/)
  await refused(`${part({ alg: 'ES256' })}.${base64url.encode('['.repeat(5000))}.x`)
  assert.deepEqual(issuer.asked, [])
})

test('without audiences a token that names nobody is refused, unless it is of Clerk', async () => {
  const only = { audiences: [], authorizedParties: ['https://app.example'] }
  const generic = oidcFor(issuer, only).oidc
  const clerk = oidcFor(issuer, { ...only, preset: 'clerk' }).oidc
  await assert.rejects(generic.verify(await issuer.sign()), { code: 'unauthenticated' })
  await generic.verify(await issuer.sign({ azp: 'https://app.example' }))
  await generic.verify(await issuer.sign({ client_id: 'https://app.example' }))
  await clerk.verify(await issuer.sign())
  await assert.rejects(clerk.verify(await issuer.sign({ client_id: 'registered-by-anybody' })), { code: 'unauthenticated' })
  await assert.rejects(clerk.verify(await issuer.sign({ sts: 'pending' })), { code: 'unauthenticated' })
})

test('one issuer cannot speak for another', async () => {
  const other = await startIssuer()
  const { oidc: both } = oidcFor(issuer)
  await assert.rejects(both.verify(await other.sign({ iss: issuer.url, aud: issuer.audience })), { code: 'unauthenticated' })
  await other.stop()
})
