import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { readSettings } from '../../../infra/local/settings.ts'

const parent = mkdtempSync(join(tmpdir(), 'rgrid-settings-'))
after(() => rmSync(parent, { recursive: true }))
const read = (env: Record<string, string>, folder = 'state') => readSettings({ RGRID_STATE_DIR: join(parent, folder), ...env })

test('the state folder is made for its owner only, and names the instance', () => {
  const one = read({})
  assert.equal(statSync(one.stateDir).mode & 0o777, 0o700)
  assert.equal(read({}).instance, one.instance)
  assert.notEqual(read({}, 'other').instance, one.instance)
})

test('ports have defaults that avoid the well-known ones, and each has its variable', () => {
  assert.deepEqual(
    Object.values(read({}).ports).map((port) => port.number),
    [8470, 8471, 8472, 8473],
  )
  assert.deepEqual(read({ RGRID_PORT_NATS: '9999' }).ports.nats, { number: 9999, variable: 'RGRID_PORT_NATS' })
})

test('all faults are named at once', () => {
  const faulty = { RGRID_PORT_API: '0', RGRID_PORT_S3: 'x', RGRID_PULL: 'perhaps', RGRID_NATS_URL: 'nats://bus:4222', RGRID_S3_URL: 'http://s3:9000' }
  assert.throws(
    () => read(faulty),
    (error: Error) =>
      ['RGRID_PORT_API', 'RGRID_PORT_S3', 'RGRID_PULL', 'RGRID_NATS_TRUST_DIR', 'RGRID_S3_ACCESS_KEY'].every((name) => error.message.includes(name)),
  )
})

test('services that are there already are taken as given', () => {
  const { given } = read({
    RGRID_POSTGRES_ADMIN_URL: 'postgres://admin@db:5432/rgrid',
    RGRID_NATS_URL: 'nats://bus:4222',
    RGRID_NATS_TRUST_DIR: '/trust',
    RGRID_S3_URL: 'https://s3.example',
    RGRID_S3_ACCESS_KEY: 'key',
    RGRID_S3_SECRET_KEY: 'secret',
  })
  assert.deepEqual(given, {
    postgresAdminUrl: 'postgres://admin@db:5432/rgrid',
    nats: { url: 'nats://bus:4222', trustDir: '/trust' },
    s3: { url: 'https://s3.example', accessKey: 'key', secretKey: 'secret' },
  })
})

test('a NATS with TLS that is there already is given with the file of its CA', () => {
  const { given } = read({ RGRID_NATS_URL: 'tls://bus:4222', RGRID_NATS_TRUST_DIR: '/trust', RGRID_NATS_CA_FILE: '/etc/ca.pem' })
  assert.deepEqual(given.nats, { url: 'tls://bus:4222', trustDir: '/trust', caFile: '/etc/ca.pem' })
})

test("a shell that has sourced the instance's own env file changes nothing", () => {
  const own = {
    RGRID_POSTGRES_ADMIN_URL: 'postgres://postgres:x@127.0.0.1:8471/rgrid',
    RGRID_NATS_URL: 'nats://127.0.0.1:8472',
    RGRID_S3_URL: 'http://127.0.0.1:8473',
  }
  assert.deepEqual(read(own).given, {})
  // The same server seen from an instance with other ports is somebody else's.
  assert.equal(read({ ...own, RGRID_PORT_POSTGRES: '9471', RGRID_PORT_NATS: '8472' }).given.postgresAdminUrl, own.RGRID_POSTGRES_ADMIN_URL)
})
