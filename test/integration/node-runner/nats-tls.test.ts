import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import { createEnrolmentToken } from '#store/bootstrap.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { makeNatsCertificates, type NatsCertificates } from '../../harness/nats-certificates.ts'
import { startProcess, type TestProcess } from '../../harness/process.ts'
import { startTlsNats, type TlsNats } from '../../harness/tls-nats.ts'

const dir = mkdtempSync(join(tmpdir(), 'rgrid-nats-tls-'))
let own: NatsCertificates
let foreign: NatsCertificates
let nats: TlsNats
let gateway: TestGateway
/** Tells nodes a CA that NATS's certificate is not of. */
let mistaken: TestGateway
/** Tells nodes an address without TLS. */
let plain: TestGateway

before(async () => {
  own = makeNatsCertificates('127.0.0.1')
  foreign = makeNatsCertificates('127.0.0.1')
  nats = await startTlsNats(own.serverDir)
  gateway = await startGateway({ natsNodeUrl: nats.url, natsCa: own.ca })
  mistaken = await startGateway({ natsNodeUrl: nats.url, natsCa: foreign.ca })
  plain = await startGateway()
})
after(async () => {
  for (const each of [gateway, mistaken, plain]) await each.stop()
  await nats.stop()
  own.remove()
  foreign.remove()
  rmSync(dir, { recursive: true, force: true })
})

async function begin(t: TestContext, at: TestGateway, env: Record<string, string> = {}): Promise<{ runner: TestProcess; identity(): Record<string, string> }> {
  const nodeDir = mkdtempSync(join(dir, 'node-'))
  const runner = startProcess('node-runner', {
    RGRID_API_URL: await listen(at),
    RGRID_ENROL_TOKEN: await createEnrolmentToken(at.admin, 300),
    RGRID_NODE_DIR: nodeDir,
    RGRID_NODE_SLOTS: '1',
    ...env,
  })
  t.after(() => runner.kill())
  return { runner, identity: () => JSON.parse(readFileSync(join(nodeDir, 'identity.json'), 'utf8')) }
}

const addresses = new Map<TestGateway, Promise<string>>()
function listen(at: TestGateway): Promise<string> {
  const address = addresses.get(at) ?? at.listen()
  addresses.set(at, address)
  return address
}

test('a node is told the CA when it enrols, and speaks TLS only', { timeout: 120_000 }, async (t) => {
  const { runner, identity } = await begin(t, gateway)
  await runner.logged(/"started"/)
  const { nodeId, natsUrl, natsCa } = identity()
  assert.deepEqual([natsUrl, natsCa], [nats.url, own.ca])
  const connection = (await nats.connections()).find(({ name }) => name === nodeId)
  assert.deepEqual([connection?.tls_version, connection?.tls_first], ['1.3', true])
  assert.equal(await runner.stop(), 0)
})

test('one whose NATS is not of the CA waits and says why, without its credentials', { timeout: 120_000 }, async (t) => {
  const { runner, identity } = await begin(t, mistaken)
  assert.match(await runner.logged(/"server":"NATS".*waiting for it/), /not of the CA that it must be of/)
  const { nodeId, jwt, seed } = identity()
  for (const secret of [jwt, seed]) assert.ok(secret && !runner.output().includes(secret))
  assert.ok(!(await nats.connections()).some(({ name }) => name === nodeId))
  assert.equal(await runner.stop(), 0)
})

test('a CA of its own holds, whatever the gateway says', { timeout: 120_000 }, async (t) => {
  const { runner } = await begin(t, mistaken, { RGRID_NATS_CA_FILE: own.caFile })
  await runner.logged(/"started"/)
  assert.equal(await runner.stop(), 0)
})

test('with a CA of its own it does not follow the gateway to a plain address', { timeout: 120_000 }, async (t) => {
  const { runner } = await begin(t, plain, { RGRID_NATS_CA_FILE: own.caFile })
  assert.equal(await runner.ended, 1)
  assert.match(runner.output(), /RGRID_NATS_NODE_URL of the gateway must begin with tls:\/\//)
})
