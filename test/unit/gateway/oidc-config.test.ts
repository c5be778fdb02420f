import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { ConfigError } from '#core/service/config.ts'
import { parseOidcConfig, readOidcFile } from '../../../gateway/oidc/config.ts'

const good = { issuer: 'https://a.example', audiences: ['rgrid'] }
const refused = (value: unknown, words: RegExp) =>
  assert.throws(
    () => parseOidcConfig(value, 'the file'),
    (error: unknown) => {
      assert.ok(error instanceof ConfigError)
      assert.match(error.message, words)
      return true
    },
  )

test('what is left out is filled in', () => {
  assert.deepEqual(parseOidcConfig([{ ...good, login: { clientId: 'cli' } }], 'the file'), [
    {
      ...good,
      authorizedParties: [],
      algorithms: ['RS256', 'ES256', 'EdDSA'],
      claims: {},
      roles: {},
      clockToleranceSeconds: 5,
      login: { clientId: 'cli', scopes: ['openid', 'profile', 'email'] },
    },
  ])
})

for (const algorithm of ['HS256', 'HS512', 'none', 'RSA-OAEP', 'rs256']) {
  test(`the algorithm ${algorithm} is refused`, () => refused([{ ...good, algorithms: [algorithm] }], /algorithms\/0: it must be one of RS256/))
}

for (const [what, entry, words] of [
  ['neither audiences nor authorizedParties', { issuer: 'https://a.example' }, /name audiences or authorizedParties/],
  ['plain http', { ...good, issuer: 'http://a.example' }, /\/0\/issuer: it must be an https address/],
  ['plain http for the keys', { ...good, jwksUrl: 'http://10.0.0.1/keys' }, /\/0\/jwksUrl: it must be an https address/],
  ['a name that only looks like loopback', { ...good, issuer: 'http://127.0.0.1.example.com' }, /must be an https address/],
  ['a password in an address', { ...good, jwksUrl: 'https://a:b@a.example/keys' }, /must be an https address/],
  ['a query', { ...good, issuer: 'https://a.example?x' }, /can have no "\?"/],
  ['a client secret', { ...good, login: { clientId: 'x', clientSecret: 'y' } }, /clientSecret/],
  ['a role that is none of ours', { ...good, roles: { boss: 'king' } }, /roles\/boss: it must be one of owner/],
  ['no algorithm', { ...good, algorithms: [] }, /algorithms/],
  ['claims of the organisation beside the preset', { ...good, preset: 'clerk', claims: { organisationId: 'o.id' } }, /leave them out/],
  ['a role without an organisation', { ...good, claims: { organisationRole: 'role' } }, /says nothing without organisationId/],
] as const) {
  test(`${what} is refused`, () => refused([entry], words))
}

test('two entries of one issuer are refused, and every fault is listed', () => {
  refused([good, good], /\/1\/issuer: another entry has the same/)
  refused([{ ...good, preset: 'x' }, { audiences: 7 }], /\/0\/preset[\s\S]*\/1\/issuer[\s\S]*\/1\/audiences/)
  refused([], /Expected array length/)
  refused({}, /Expected array/)
})

test('a file that is not there is said so', () => {
  assert.throws(() => readOidcFile('/nonexistent/oidc.json'), /RGRID_OIDC_FILE: \/nonexistent\/oidc.json cannot be read as JSON: ENOENT/)
})

test('the examples of docs/SIGN_IN.md are valid', () => {
  const page = readFileSync(new URL('../../../docs/SIGN_IN.md', import.meta.url), 'utf8')
  const examples = [...page.matchAll(/```json\n([\s\S]*?)```/g)].map((match) => JSON.parse(match[1] ?? ''))
  assert.equal(examples.length, 2)
  for (const example of examples) parseOidcConfig(example, 'the page')
})
