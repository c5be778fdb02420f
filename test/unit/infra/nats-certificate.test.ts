import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createPrivateKey, X509Certificate } from 'node:crypto'
import { readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { makeNatsCertificates } from '../../harness/nats-certificates.ts'

const YEAR_MS = 365 * 86_400_000

/** For what only looks; each look is at what the script made for 10.80.0.2. */
const made = make(after, '10.80.0.2')

function make(atEnd: (remove: () => void) => void, host: string) {
  const made = makeNatsCertificates(host)
  atEnd(() => made.remove())
  const read = (name: string) => readFileSync(join(made.dir, name))
  return { ...made, read, server: () => new X509Certificate(read('nats-tls/server.pem')), authority: () => new X509Certificate(read('nats-ca.pem')) }
}

test('a CA for many years and a certificate of it for the address that nodes use and the name within compose', () => {
  const { server, authority } = made
  assert.ok(authority().ca)
  assert.ok(Date.parse(authority().validTo) - Date.now() > 19 * YEAR_MS)
  assert.ok(!server().ca)
  assert.ok(server().verify(authority().publicKey))
  assert.ok(Date.parse(server().validTo) - Date.now() > 4 * YEAR_MS)
  assert.equal(server().subjectAltName, 'IP Address:10.80.0.2, DNS:nats')
})

test('a name instead of an address is held as a name', (t) => {
  const atEnd = (end: () => void) => t.after(end)
  assert.equal(make(atEnd, 'grid.example.com').server().subjectAltName, 'DNS:grid.example.com, DNS:nats')
  assert.equal(make(atEnd, 'fd00::2').server().subjectAltName, 'IP Address:FD00:0:0:0:0:0:0:2, DNS:nats')
})

test('keys are for root alone; the certificate of the CA is for all', () => {
  const mode = (name: string) => (statSync(join(made.dir, name)).mode & 0o777).toString(8)
  for (const folder of ['nats-ca', 'nats-tls']) assert.equal(mode(folder), '700')
  for (const key of ['nats-ca/ca.key', 'nats-tls/server.key']) assert.equal(mode(key), '600')
  assert.equal(mode('nats-ca.pem'), '644')
})

test('what is good stays as it is, and nothing is said', () => {
  const { again, read } = made
  const before = ['nats-ca.pem', 'nats-ca/ca.key', 'nats-tls/server.pem', 'nats-tls/server.key'].map(read)
  assert.equal(again(), '')
  assert.deepEqual(['nats-ca.pem', 'nats-ca/ca.key', 'nats-tls/server.pem', 'nats-tls/server.key'].map(read), before)
})

test('a certificate that lasts less than a year, or is for another host, is made anew for the same key', (t) => {
  const { again, dir, read, server, authority } = make((end) => t.after(end), '10.80.0.2')
  const key = read('nats-tls/server.key')
  for (const [what, change] of [
    ['short', () => writeFileSync(join(dir, 'nats-tls/server.pem'), shortLived(dir))],
    ['moved', () => writeFileSync(join(dir, 'rgrid.env'), 'PUBLIC_HOST=10.80.0.3\n')],
  ] as const) {
    change()
    const before = server().serialNumber
    assert.match(again(), /^nats-certificate: made a certificate for 10\.80\.0\.[23]\n$/, what)
    assert.notEqual(server().serialNumber, before)
    assert.ok(server().verify(authority().publicKey))
    assert.deepEqual(read('nats-tls/server.key'), key)
  }
  assert.ok(server().checkIP('10.80.0.3'))
})

/** A certificate like the script's, for 300 days. */
function shortLived(dir: string): Buffer {
  const at = (name: string) => join(dir, name)
  return execFileSync('openssl', [
    ...['req', '-x509', '-new', '-CA', at('nats-ca.pem'), '-CAkey', at('nats-ca/ca.key'), '-key', at('nats-tls/server.key'), '-days', '300'],
    ...['-subj', '/CN=RGrid NATS', '-addext', 'subjectAltName=IP:10.80.0.2,DNS:nats'],
  ])
}

test('a key that is gone is made anew, with a certificate for it', (t) => {
  const { again, dir, read, server } = make((end) => t.after(end), '10.80.0.2')
  rmSync(join(dir, 'nats-tls/server.key'))
  assert.match(again(), /made a certificate/)
  assert.ok(server().checkPrivateKey(createPrivateKey(read('nats-tls/server.key'))))
})

test('a CA that is gone is made anew, with a certificate of it', (t) => {
  const { again, dir, server, authority } = make((end) => t.after(end), '10.80.0.2')
  const before = authority().fingerprint256
  rmSync(join(dir, 'nats-ca.pem'))
  assert.match(again(), /made a CA\n.*made a certificate/)
  assert.notEqual(authority().fingerprint256, before)
  assert.ok(server().verify(authority().publicKey))
})

test('without the address of nodes nothing is made', () => {
  assert.throws(() => makeNatsCertificates(''), /PUBLIC_HOST, the address that nodes reach NATS at, is not set/)
})
