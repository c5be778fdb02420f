import assert from 'node:assert/strict'
import { test } from 'node:test'
import { claimAt, idClaim, textClaim } from '../../../gateway/oidc/claims.ts'
import { type IssuerConfig, parseOidcConfig } from '../../../gateway/oidc/config.ts'
import { toIdentity } from '../../../gateway/oidc/identity.ts'
import { mapRole } from '../../../gateway/oidc/organisation.ts'
import { RefusedToken } from '../../../gateway/oidc/refused.ts'

const configOf = (entry: object) => parseOidcConfig([{ issuer: 'https://a.example', audiences: ['rgrid'], ...entry }], 'test')[0] as IssuerConfig
const base = { sub: 'user_1', iat: 1000, exp: 1060 }
const clerk = configOf({ preset: 'clerk' })
const organisation = (config: IssuerConfig, claims: object) => toIdentity(config, { ...base, ...claims }).organisation

test('an identity has the issuer of the configuration and times in milliseconds', () => {
  const claims = { ...base, email: 'ada@example.com', name: 'Ada' }
  assert.deepEqual(toIdentity(configOf({}), claims), {
    issuer: 'https://a.example',
    subject: 'user_1',
    email: 'ada@example.com',
    name: 'Ada',
    organisation: null,
    issuedAtMs: 1_000_000,
    expiresAtMs: 1_060_000,
  })
})

test('version 1 of Clerk: org_id, org_slug, org_role with its prefix', () => {
  const v1 = { org_id: 'org_1', org_slug: 'acme', org_role: 'org:admin' }
  assert.deepEqual(organisation(clerk, v1), { id: 'org_1', slug: 'acme', name: null, role: 'owner', isWithdrawn: false })
  assert.equal(organisation(clerk, { ...v1, org_role: 'org:member' })?.role, 'developer')
  assert.equal(organisation(clerk, { ...v1, org_role: 'org:billing' })?.role, 'viewer')
  assert.equal(organisation(clerk, {}), null)
})

test('version 2 of Clerk: o, and nothing of version 1 beside it', () => {
  const v2 = { v: 2, o: { id: 'org_1', slg: 'acme', rol: 'admin', per: 'x', fpm: '1' } }
  assert.deepEqual(organisation(clerk, v2), { id: 'org_1', slug: 'acme', name: null, role: 'owner', isWithdrawn: false })
  assert.equal(organisation(clerk, { v: 2, org_id: 'org_1', org_role: 'org:admin' }), null)
  assert.equal(organisation(clerk, { v: 2, o: null }), null)
})

test('roles of Clerk are mapped as configured, with or without the prefix', () => {
  const config = configOf({ preset: 'clerk', roles: { 'org:chief': 'owner', reader: 'viewer' } })
  const of = (rol?: string) => organisation(config, { v: 2, o: { id: 'org_1', rol } })
  assert.deepEqual([of('chief')?.role, of('org:reader')?.role, of('admin')?.role], ['owner', 'viewer', null])
  assert.deepEqual([of('chief')?.isWithdrawn, of('admin')?.isWithdrawn, of()?.isWithdrawn], [false, true, false])
})

test('a pending session of Clerk and an unknown version are refused', () => {
  for (const claims of [{ sts: 'pending' }, { v: 2, sts: 'pending', o: { id: 'org_1' } }, { v: 3 }, { v: '2' }])
    assert.throws(() => toIdentity(clerk, { ...base, ...claims }), RefusedToken)
})

test('a generic issuer is read by the configured paths', () => {
  const config = configOf({
    claims: {
      email: 'contact.mail',
      name: 'profile.full',
      organisationId: 'https://x.example/org.id',
      organisationSlug: 'tenant.slug',
      organisationName: 'tenant.name',
      organisationRole: 'realm_access.roles',
    },
    roles: { 'rgrid-admin': 'admin', 'rgrid-user': 'developer' },
  })
  const identity = toIdentity(config, {
    ...base,
    contact: { mail: 'ada@example.com' },
    profile: { full: 'Ada' },
    'https://x.example/org': { id: 't1' },
    tenant: { slug: 'acme', name: 'Acme' },
    realm_access: { roles: ['offline', 'rgrid-user', 'rgrid-admin'] },
  })
  assert.equal(identity.email, 'ada@example.com')
  assert.equal(identity.name, 'Ada')
  assert.deepEqual(identity.organisation, { id: 't1', slug: 'acme', name: 'Acme', role: 'admin', isWithdrawn: false })
})

test('without a table of roles ours mean themselves; with one only what it names counts', () => {
  assert.equal(mapRole('viewer', {}), 'viewer')
  assert.equal(mapRole('king', {}), null)
  assert.equal(mapRole('owner', { boss: 'admin' }), null)
  assert.equal(mapRole(['viewer', 7, 'boss'], { boss: 'admin' }), 'admin')
  for (const theirs of ['toString', '__proto__', 'constructor', undefined, null, {}, 1]) assert.equal(mapRole(theirs, { boss: 'admin' }), null)
})

test('with a table a role that it does not name is withdrawn, and no role says nothing; without one the least is given', () => {
  const of = (roles: object, role?: unknown) => {
    const { role: ours, isWithdrawn } = organisation(configOf({ claims: { organisationId: 'o', organisationRole: 'r' }, roles }), { o: 't1', r: role }) ?? {}
    return [ours, isWithdrawn]
  }
  const table = { boss: 'admin' }
  assert.deepEqual(
    [of(table, 'boss'), of(table, ['x', 'boss'])],
    [
      ['admin', false],
      ['admin', false],
    ],
  )
  for (const theirs of ['king', 'owner', ['x', 'y']]) assert.deepEqual(of(table, theirs), [null, true])
  for (const theirs of [undefined, null, [], 7, {}]) assert.deepEqual(of(table, theirs), [null, false])
  for (const theirs of [undefined, 'king', ['x']]) assert.deepEqual(of({}, theirs), ['viewer', false])
})

test('a path finds own fields only, the longest name first', () => {
  assert.equal(claimAt({ 'a.b': 1, a: { b: 2 } }, 'a.b'), 1)
  assert.equal(claimAt({ 'a.b': { c: 3 }, a: { b: { c: 4 } } }, 'a.b.c'), 3)
  assert.equal(claimAt({ a: { 'b.c': 5 } }, 'a.b.c'), 5)
  for (const path of ['__proto__', 'a.__proto__', 'a.constructor.name', 'a.length', 'toString', 'a.0']) assert.equal(claimAt({ a: ['x'] }, path), undefined)
})

test('an address that is not verified, or is none, is no address', () => {
  const email = (claims: object) => toIdentity(configOf({}), { ...base, ...claims }).email
  assert.equal(email({ email: 'ada@example.com', email_verified: true }), 'ada@example.com')
  assert.equal(email({ email: 'ada@example.com', email_verified: false }), null)
  assert.equal(email({ email: 'ada@example.com', email_verified: 'false' }), null)
  for (const value of ['ada', 'a b@example.com', 'a@b@c', `${'a'.repeat(300)}@example.com`, 'a\u0000@example.com', ['a@example.com']])
    assert.equal(email({ email: value }), null)
})

test('what people chose is cleaned; what names somebody is taken whole or not', () => {
  assert.equal(textClaim(' A\u0000d\u001b[31ma\u202e \ud800', 200), 'A d [31ma  \ufffd')
  assert.equal(textClaim('x'.repeat(500), 200)?.length, 200)
  assert.equal(textClaim(' \n ', 200), null)
  assert.equal(idClaim('auth0|1'), 'auth0|1')
  for (const value of ['', 'a\u0000', 'a\n', 'x'.repeat(256), '\ud800', 1, null]) assert.equal(idClaim(value), null)
  for (const sub of ['', 'a\u0000', 7, {}]) assert.throws(() => toIdentity(configOf({}), { ...base, sub }), RefusedToken)
  for (const exp of [1e300, -1, '1', Number.NaN]) assert.throws(() => toIdentity(configOf({}), { ...base, exp }), RefusedToken)
})
