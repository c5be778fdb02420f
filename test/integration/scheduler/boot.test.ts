import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import { sql } from 'slonik'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { type Cable, startCable } from '../../harness/cable.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { makeNatsCertificates, type NatsCertificates } from '../../harness/nats-certificates.ts'
import { freePorts } from '../../harness/ports.ts'
import { startProcess } from '../../harness/process.ts'
import { testServices } from '../../harness/services.ts'

let database: TestDatabase
let admin: DatabasePool
let dir: string
let certificates: NatsCertificates
before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl, 1)
  dir = mkdtempSync(join(tmpdir(), 'rgrid-boot-'))
  certificates = makeNatsCertificates('127.0.0.1')
})
after(async () => {
  rmSync(dir, { recursive: true, force: true })
  certificates.remove()
  await admin.end()
  await database.drop()
})

const WAITING = /"server":"(Postgres|NATS)".*not ready; waiting for it/

function begin(t: TestContext, env: Record<string, string> = {}) {
  const scheduler = startProcess('scheduler', { RGRID_DATABASE_URL: database.schedulerUrl, ...env })
  t.after(() => scheduler.stop())
  return scheduler
}

async function lay(t: TestContext, url: string): Promise<Cable> {
  const cable = await startCable(url)
  t.after(() => cable.close())
  return cable
}

for (const [away, how] of [
  ['is refused', 'cut'],
  ['is silent', 'hush'],
] as const) {
  test(`a scheduler waits while Postgres ${away}, and starts when it is there`, async (t) => {
    const cable = await lay(t, database.schedulerUrl)
    cable[how]()
    const scheduler = begin(t, { RGRID_DATABASE_URL: cable.through(database.schedulerUrl) })
    assert.match(await scheduler.logged(WAITING), /"server":"Postgres"/)
    cable.mend()
    await scheduler.logged(/"server":"Postgres".*it answers now/)
    await scheduler.logged(/"started"/)
    assert.equal(await scheduler.stop(), 0)
  })

  test(`a scheduler waits while NATS ${away}, and starts when it is there`, async (t) => {
    const { natsUrl } = testServices()
    const cable = await lay(t, natsUrl)
    cable[how]()
    const scheduler = begin(t, { RGRID_NATS_URL: cable.through(natsUrl) })
    assert.match(await scheduler.logged(WAITING), /"server":"NATS"/)
    cable.mend()
    await scheduler.logged(/"started"/)
    assert.equal(await scheduler.stop(), 0)
  })
}

test('S3 is not needed to start', async (t) => {
  const { s3 } = testServices()
  const cable = await lay(t, s3.url)
  cable.cut()
  await begin(t, { RGRID_S3_URL: cable.through(s3.url).replace(/\/$/, '') }).logged(/"started"/)
})

test('a gateway waits as well', async (t) => {
  const cable = await lay(t, database.gatewayUrl)
  cable.cut()
  const api = `127.0.0.1:${(await freePorts()).RGRID_PORT_API}`
  const gateway = startProcess('gateway', { RGRID_DATABASE_URL: cable.through(database.gatewayUrl), RGRID_LISTEN: api })
  t.after(() => gateway.stop())
  await gateway.logged(WAITING)
  cable.mend()
  await gateway.logged(/"started"/)
  assert.equal((await fetch(`http://${api}/readyz`)).status, 200)
})

test('a schema that is not migrated yet is waited for, also one of which there is nothing', async (t) => {
  await admin.query(sql.unsafe`alter table migrations rename to migrations_later`)
  const scheduler = begin(t)
  assert.match(await scheduler.logged(WAITING), /the database lacks 0001_foundation/)
  await admin.query(sql.unsafe`alter table migrations_later rename to migrations`)
  await scheduler.logged(/"started"/)
})

test('the same fault is logged once', async (t) => {
  const cable = await lay(t, database.schedulerUrl)
  cable.cut()
  const scheduler = begin(t, { RGRID_DATABASE_URL: cable.through(database.schedulerUrl) })
  await scheduler.logged(WAITING)
  await cable.refused(4)
  const faults = scheduler
    .output()
    .split('\n')
    .filter((line) => WAITING.test(line))
    .map((line) => JSON.parse(line).error)
  assert.deepEqual(faults, [...new Set(faults)])
})

test('a process that waits is ended by SIGTERM at once', async (t) => {
  const cable = await lay(t, database.schedulerUrl)
  cable.hush()
  const scheduler = begin(t, { RGRID_DATABASE_URL: cable.through(database.schedulerUrl) })
  await scheduler.logged(WAITING)
  assert.equal(await scheduler.stop(), 0)
  assert.doesNotMatch(scheduler.output(), /started"/)
})

const changed = (change: (url: URL) => void) => {
  const url = new URL(database.schedulerUrl)
  change(url)
  return url.href
}
const foreignCreds = () => {
  const path = join(dir, 'foreign.creds')
  const own = readFileSync(join(testServices().natsTrustDir, 'scheduler.creds'), 'utf8')
  // A signature that no longer fits.
  writeFileSync(
    path,
    own.replace(/(\.[\w-]+)([\w-]{4})([\w-])\n-/, (_, start, four, last) => `${start}${four === 'AAAA' ? 'BBBB' : 'AAAA'}${last}\n-`),
  )
  return path
}
for (const [what, env, fits] of [
  ['a wrong password', () => ({ RGRID_DATABASE_URL: changed((url) => (url.password = 'wrong')) }), /^Postgres cannot be used: password authentication failed/m],
  [
    'a database that is not there',
    () => ({ RGRID_DATABASE_URL: changed((url) => (url.pathname = '/none')) }),
    /^Postgres cannot be used: database "none" does not exist/m,
  ],
  ['a credential that NATS does not accept', () => ({ RGRID_NATS_CREDS_FILE: foreignCreds() }), /^NATS cannot be used: .*[Aa]uthorization/m],
  [
    'a NATS without TLS, where there is a CA for it,',
    () => ({ RGRID_NATS_CA_FILE: certificates.caFile, RGRID_NATS_URL: testServices().natsUrl.replace('nats:', 'tls:') }),
    /^NATS cannot be used: NATS does not begin with TLS, .*handshake_first: true$/m,
  ],
  [
    'an address of NATS that is not tls://, where there is a CA for it,',
    () => ({ RGRID_NATS_CA_FILE: certificates.caFile }),
    /- RGRID_NATS_URL must begin with tls:\/\//,
  ],
  [
    'a CA of NATS that is none',
    () => ({ RGRID_NATS_CA_FILE: `${testServices().natsTrustDir}/account.pub` }),
    /- RGRID_NATS_CA is not usable: it holds no certificate/,
  ],
  ['a credential that is not there', () => ({ RGRID_NATS_CREDS_FILE: '/nowhere.creds' }), /^NATS cannot be used: .*\/nowhere.creds/m],
] as const) {
  test(`${what} ends the process at once, with a sentence`, async (t) => {
    const scheduler = begin(t, env())
    assert.equal(await scheduler.ended, 1)
    assert.match(scheduler.output(), fits)
    assert.doesNotMatch(scheduler.output(), /waiting for it|^ {4}at /m)
  })
}

test('a gateway that would tell nodes a plain address, where there is a CA for it, ends at once', async (t) => {
  const { natsUrl } = testServices()
  const gateway = startProcess('gateway', {
    RGRID_DATABASE_URL: database.gatewayUrl,
    RGRID_NATS_CA_FILE: certificates.caFile,
    RGRID_NATS_URL: natsUrl.replace('nats:', 'tls:'),
    RGRID_NATS_NODE_URL: natsUrl,
  })
  t.after(() => gateway.stop())
  assert.equal(await gateway.ended, 1)
  assert.match(gateway.output(), /- RGRID_NATS_NODE_URL must begin with tls:\/\//)
})

test('a newer schema ends the process at once, with what to do', async (t) => {
  await admin.query(sql.unsafe`insert into migrations (name, run_on) values ('9999_from_the_future', now())`)
  const scheduler = begin(t)
  assert.equal(await scheduler.ended, 1)
  assert.match(scheduler.output(), /^Postgres cannot be used: the database was migrated by a newer version/m)
  await admin.query(sql.unsafe`delete from migrations where name = '9999_from_the_future'`)
})
