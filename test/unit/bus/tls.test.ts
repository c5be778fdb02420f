import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { busCa, connectFault, tlsOptions } from '#bus/tls.ts'
import { mayPass } from '#core/service/away.ts'
import { ConfigError } from '#core/service/config.ts'
import { makeNatsCertificates } from '../../harness/nats-certificates.ts'

const made = makeNatsCertificates('127.0.0.1')
after(() => made.remove())
const file = (name: string) => readFileSync(join(made.dir, name), 'utf8')

test('tls:// begins with TLS, any other address is plain, and with a CA there is no other', () => {
  assert.deepEqual(tlsOptions('tls://nats:4222', made.ca), { handshakeFirst: true, ca: made.ca })
  assert.deepEqual(tlsOptions('TLS://nats:4222', undefined), { handshakeFirst: true })
  assert.equal(tlsOptions('nats://nats:4222', undefined), undefined)
  for (const url of ['nats://nats:4222', 'nats:4222', 'ws://nats', 'nats://tls://nats:4222'])
    assert.throws(
      () => tlsOptions(url, made.ca, 'RGRID_NATS_NODE_URL'),
      (error) => error instanceof ConfigError && /RGRID_NATS_NODE_URL must begin with tls:\/\//.test(error.message),
    )
})

test('of the CA’s file the certificates are taken, and nothing else', () => {
  assert.equal(busCa({}), undefined)
  assert.equal(busCa({ RGRID_NATS_CA: made.ca.trim() }), made.ca)
  assert.equal(busCa({ RGRID_NATS_CA: `subject=CN = A CA\n${made.ca}and more\n${made.ca.replaceAll('\n', '\r\n')}` })?.match(/BEGIN CERTIFICATE/g)?.length, 2)
})

test('what is no CA is refused by the name of its variable, without a word of it', () => {
  const cases: [string, RegExp][] = [
    ['', /holds no certificate/],
    ['/etc/rgrid/nats-ca.pem', /holds no certificate/],
    [file('nats-tls/server.pem'), /certificates of CAs/],
    [made.ca.replace(/\n[\w+/]{20}/, '\nAAAAAAAAAAAAAAAAAAAA'), /certificates of CAs/],
    [made.ca + file('nats-ca/ca.key'), /private key/],
  ]
  for (const [text, fits] of cases)
    assert.throws(
      () => busCa({ RGRID_NATS_CA: text }),
      (error) =>
        error instanceof ConfigError && /RGRID_NATS_CA is not usable/.test(error.message) && fits.test(error.message) && !/[\w+/]{30}/.test(error.message),
    )
})

const failed = (code: string) => Object.assign(new Error(code), { code })

test('what TLS fails with says what to do; waiting is no use', () => {
  const cases: [string, string | undefined, RegExp][] = [
    ['DEPTH_ZERO_SELF_SIGNED_CERT', made.ca, /not of the CA that it must be of/],
    ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', undefined, /set RGRID_NATS_CA_FILE/],
    ['CERT_HAS_EXPIRED', made.ca, /has expired: renew it/],
    ['CERT_NOT_YET_VALID', made.ca, /is the clock right/],
    ['EPROTO', made.ca, /does not begin with TLS/],
  ]
  for (const [code, ca, fits] of cases) {
    const cause = failed(code)
    const fault = connectFault(cause, 'tls://nats:4222', ca) as Error
    assert.match(fault.message, fits)
    assert.equal(fault.cause, cause)
    assert.equal(mayPass(fault), false)
  }
})

test('a server that says nothing to a plain address may want TLS, and is waited for; any other fault stays as it is', () => {
  const silent = Object.assign(new Error('TIMEOUT'), { name: 'NatsError', code: 'TIMEOUT' })
  const fault = connectFault(silent, 'nats://nats:4222', undefined) as Error
  assert.match(fault.message, /begin with tls:\/\//)
  assert.equal(mayPass(fault), true)
  assert.equal(connectFault(silent, 'tls://nats:4222', made.ca), silent)
  const refused = Object.assign(new Error('CONNECTION_REFUSED'), { name: 'NatsError', code: 'CONNECTION_REFUSED', chainedError: { code: 'ECONNREFUSED' } })
  assert.equal(connectFault(refused, 'nats://nats:4222', undefined), refused)
})
