import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { connect as connectTls } from 'node:tls'
import { pino } from 'pino'
import { type Bus, type BusAddress, connectNode, connectService } from '#bus/bus.ts'
import { createNodeKey, mintNodeJwt } from '#bus/credentials.ts'
import { Heartbeat } from '#bus/messages/node.ts'
import { openBus } from '#bus/open.ts'
import { readStream } from '#bus/ordered-tail.ts'
import { EVENT_STREAM } from '#bus/streams.ts'
import { heartbeatSubject } from '#bus/subjects.ts'
import { newId } from '#core/ids.ts'
import { sleep, withDeadline } from '#core/service/time.ts'
import { testMinter } from '../../harness/bus.ts'
import { makeNatsCertificates, type NatsCertificates } from '../../harness/nats-certificates.ts'
import { testServices } from '../../harness/services.ts'
import { startTlsNats, type TlsNats } from '../../harness/tls-nats.ts'

const log = pino({ level: 'silent' })
const made: NatsCertificates[] = []
const started: TlsNats[] = []
let own: NatsCertificates
let nats: TlsNats
/** One with a certificate of the same kind, for the address that the control server on Hetzner has. */
let elsewhere: NatsCertificates
let natsElsewhere: TlsNats

before(async () => {
  own = makeNatsCertificates('127.0.0.1')
  elsewhere = makeNatsCertificates('10.80.0.2')
  made.push(own, elsewhere)
  nats = await startTlsNats(own.serverDir)
  started.push(nats)
  natsElsewhere = await startTlsNats(elsewhere.serverDir)
  started.push(natsElsewhere)
})
after(async () => {
  await Promise.all(started.map((server) => server.stop()))
  for (const certificates of made) certificates.remove()
})

const credsFile = () => join(testServices().natsTrustDir, 'scheduler.creds')
const service = (address: BusAddress) => connectService({ name: 'scheduler', ...address, credsFile: credsFile(), log })

async function node(address: BusAddress, nodeId = newId('node')): Promise<{ bus: Bus; nodeId: string }> {
  const key = createNodeKey()
  const jwt = await mintNodeJwt(testMinter(), { id: nodeId, pool: 'default', publicKey: key.publicKey }, Date.now() + 60_000)
  return { bus: await connectNode({ nodeId, ...address, jwt: () => jwt, seed: () => key.seed, log }), nodeId }
}

test('a service and a node talk through TLS, which began before anything was said', async (t) => {
  const address = { url: nats.url, ca: own.ca }
  const bus = await openBus({ name: 'scheduler', ...address, credsFile: credsFile(), log }, AbortSignal.timeout(10_000))
  t.after(() => bus.close())
  const { bus: far, nodeId } = await node(address)
  t.after(() => far.close())
  const heard = new Promise((resolve) => bus.subscribe(heartbeatSubject(nodeId), Heartbeat, resolve))
  await bus.connection.flush()
  far.publish(heartbeatSubject(nodeId), Heartbeat, { state: 'ready', freeSlots: 2, attempts: 0 })
  assert.deepEqual(await heard, { state: 'ready', freeSlots: 2, attempts: 0 })
  assert.equal((await readStream(bus, EVENT_STREAM)).lastSequence, 0)

  const connections = await nats.connections()
  assert.deepEqual(connections.map(({ name }) => name).sort(), [nodeId, 'scheduler'].sort())
  for (const connection of connections) assert.deepEqual([connection.tls_version, connection.tls_first], ['1.3', true])
})

test('a file may hold several CAs, and the scheme be written in any case', async () => {
  for (const address of [
    { url: nats.url, ca: elsewhere.ca + own.ca },
    { url: nats.url.replace('tls:', 'TLS:'), ca: own.ca },
  ]) {
    const bus = await service(address)
    await bus.close()
  }
})

const refusals: [string, () => BusAddress, RegExp][] = [
  [
    'whose certificate is of another CA',
    () => ({ url: nats.url, ca: elsewhere.ca }),
    /not of the CA that it must be of: is RGRID_NATS_CA that of this installation/,
  ],
  ['of a private CA, when none is given', () => ({ url: nats.url }), /of a CA that is not known here: set RGRID_NATS_CA_FILE/],
  [
    'whose certificate is for another address',
    () => ({ url: natsElsewhere.url, ca: elsewhere.ca }),
    /for another host than its address names: .*127\.0\.0\.1 is not in the cert's list: 10\.80\.0\.2/,
  ],
  [
    'whose certificate is for another name',
    () => ({ url: nats.url.replace('127.0.0.1', 'localhost'), ca: own.ca }),
    /for another host than its address names: .*localhost/,
  ],
  ['without TLS', () => ({ url: testServices().natsUrl.replace('nats:', 'tls:'), ca: own.ca }), /does not begin with TLS.*handshake_first: true/],
  ['that is named without tls://, although there is a CA', () => ({ url: testServices().natsUrl, ca: own.ca }), /RGRID_NATS_URL must begin with tls:\/\//],
  ['that wants TLS, by a plain address', () => ({ url: nats.url.replace('tls:', 'nats:') }), /says nothing: .*begin with tls:\/\//],
]
for (const [what, address, fits] of refusals) {
  test(`a server ${what} is refused, in words that say what to do and hold no credential`, async () => {
    const refused = async (connecting: Promise<unknown>) => {
      const error: unknown = await connecting.then(
        () => undefined,
        (fault: unknown) => fault,
      )
      assert.ok(error instanceof Error, 'it was connected')
      assert.match(error.message, fits)
      return `${error.message} ${error.stack} ${JSON.stringify(error)}`
    }
    const [said] = await Promise.all([refused(service(address())), refused(node(address()))])
    const secrets = readFileSync(credsFile(), 'utf8')
      .split('\n')
      .filter((line) => /^[\w.-]{40,}$/.test(line))
    assert.equal(secrets.length, 2)
    for (const secret of secrets) assert.ok(!said.includes(secret))
  })
}

/** Somebody in between, who says in plain what a server might and notes what comes. */
async function listenInPlain(info: object) {
  const heard: Buffer[] = []
  const server = createServer((socket) => {
    socket.on('data', (data) => heard.push(data)).on('error', () => socket.destroy())
    socket.write(`INFO ${JSON.stringify({ server_id: 'x', version: '2.10.27', proto: 1, headers: true, max_payload: 1_048_576, nonce: 'x', ...info })}\r\n`)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return {
    url: `tls://127.0.0.1:${(server.address() as AddressInfo).port}`,
    heard: () => Buffer.concat(heard),
    close: () => new Promise((resolve) => server.close(resolve)),
  }
}

// The last two are what the client takes for a promise of TLS, and forgets, unless TLS comes first.
for (const info of [{}, { tls_required: false }, { tls_required: true }, { tls_available: true }, { tls_available: 1 }, { tls_available: 'yes' }]) {
  test(`nothing is said in plain to whoever says ${JSON.stringify(info)} in plain`, async () => {
    const middle = await listenInPlain(info)
    await assert.rejects(service({ url: middle.url, ca: own.ca }), /does not begin with TLS/)
    await assert.rejects(node({ url: middle.url, ca: own.ca }), /does not begin with TLS/)
    await middle.close()
    const heard = middle.heard()
    // A record of TLS's handshake (RFC 8446, 5.1), and no word of NATS.
    assert.equal(heard[0], 22)
    assert.doesNotMatch(heard.toString('latin1'), /CONNECT|jwt|PING/)
  })
}

test('a certificate that was made anew is taken without a restart, and who was connected comes back', async (t) => {
  const bus = await service({ url: nats.url, ca: own.ca })
  t.after(() => bus.close())
  const back = new Promise<void>((resolve) => bus.onReconnect(resolve))
  const first = await serialOf(nats.url, own.ca)
  own.renew()
  await nats.reload()
  await withDeadline('the new certificate', 10_000, async (signal) => {
    while ((await serialOf(nats.url, own.ca)) === first) await sleep(50, signal)
  })
  await back
  await bus.connection.flush()
  assert.deepEqual(
    (await nats.connections()).map(({ tls_version }) => tls_version),
    ['1.3'],
  )
})

function serialOf(url: string, ca: string): Promise<string> {
  const { hostname, port } = new URL(url)
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const socket = connectTls({ host: hostname, port: Number(port), ca }, () => {
    resolve(socket.getPeerCertificate().serialNumber)
    socket.destroy()
  })
  socket.on('error', reject)
  return promise
}
