import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { connect, jwtAuthenticator, type NatsConnection } from 'nats'
import type { Bus } from '#bus/bus.ts'
import { createNodeKey, credentialProof, mintNodeJwt, signWithSeed, verifyCredentialProof } from '#bus/credentials.ts'
import { controlSubject, heartbeatSubject, inboxPrefix, logSubject, NODE_REQUESTS, nodeRequestSubject, wakeSubject } from '#bus/subjects.ts'
import { newId } from '#core/ids.ts'
import { serviceBus, testMinter } from '../../harness/bus.ts'
import { testServices } from '../../harness/services.ts'

const victim = newId('node')
const attacker = newId('node')
let service: Bus
let stolen: NatsConnection
const refused: string[] = []

/** A node's credential in the hands of someone with a plain NATS client: none of our code holds them back. */
async function connectWith(nodeId: string, expiresAtMs = Date.now() + 3_600_000, key = createNodeKey()): Promise<NatsConnection> {
  const jwt = await mintNodeJwt(testMinter(), { id: nodeId, pool: 'default', publicKey: key.publicKey }, expiresAtMs)
  return connect({
    servers: testServices().natsUrl,
    authenticator: jwtAuthenticator(jwt, Buffer.from(key.seed)),
    inboxPrefix: inboxPrefix(nodeId),
    reconnect: false,
  })
}

before(async () => {
  service = await serviceBus('gateway')
  stolen = await connectWith(attacker)
  void (async () => {
    for await (const status of stolen.status()) if (status.type === 'error') refused.push(String(status.permissionContext?.subject ?? status.data))
  })()
})
after(async () => {
  await stolen.close()
  await service.close()
})

for (const [what, subject] of [
  ['claim as another node', nodeRequestSubject(victim, 'claim')],
  ['report as another node', nodeRequestSubject(victim, 'report')],
  ['beat for another node', heartbeatSubject(victim)],
  ['tell another node to cancel', controlSubject(victim)],
  ['tell itself, or anybody, what only services tell', controlSubject(attacker)],
  ['write into the log of another node', logSubject(victim, 'att_x')],
  ['wake nodes', wakeSubject('default')],
  ['answer into another node’s inbox', `${inboxPrefix(victim)}.x`],
  ['forge an event', 'rgrid.events.acc_x.proj_x.job_x'],
  ['delete the log stream', '$JS.API.STREAM.DELETE.RGRID_LOGS'],
  ['purge the log stream', '$JS.API.STREAM.PURGE.RGRID_LOGS'],
  ['read the log stream by its API', '$JS.API.DIRECT.GET.RGRID_LOGS'],
  ['make a consumer', '$JS.API.CONSUMER.CREATE.RGRID_LOGS'],
  ['speak to the system account', '$SYS.REQ.SERVER.PING'],
] as const) {
  test(`a node’s credential cannot ${what}`, async () => {
    const heard: string[] = []
    const subscription = subject.startsWith('$') ? undefined : service.connection.subscribe(subject, { callback: (_, msg) => heard.push(msg.subject) })
    await service.connection.flush()
    stolen.publish(subject, 'x')
    await stolen.flush()
    await service.connection.flush()
    subscription?.unsubscribe()
    assert.deepEqual(heard, [])
    assert.ok(refused.includes(subject), `the server refused ${refused}`)
  })
}

for (const subject of [
  '>',
  'rgrid.>',
  'rgrid.node.*.claim',
  `rgrid.node.${victim}.control`,
  `rgrid.logs.${victim}.*`,
  'rgrid.logs.>',
  'rgrid.events.>',
  `${inboxPrefix(victim)}.>`,
  '_INBOX.>',
  '$JS.>',
  'rgrid.wake.default',
]) {
  test(`a node’s credential cannot subscribe to ${subject.replace(victim, 'VICTIM')}`, async () => {
    const heard: string[] = []
    const denied = Promise.withResolvers<string>()
    stolen.subscribe(subject, {
      callback: (error, msg) => {
        if (error) denied.resolve(error.message)
        else heard.push(msg.subject)
      },
    })
    await stolen.flush()
    assert.match(await denied.promise, /permission/i)
    service.connection.publish(subject.replaceAll('*', 'x').replace('>', 'x.y.z'), 'secret')
    await service.connection.flush()
    await stolen.flush()
    assert.deepEqual(heard, [])
  })
}

test('a node’s credential cannot hear every wake-up by joining a group of its own, nor those of another pool', async () => {
  for (const [subject, queue] of [
    [wakeSubject('default'), 'mine'],
    [wakeSubject('other'), 'runners'],
  ] as const) {
    const denied = Promise.withResolvers<string>()
    stolen.subscribe(subject, { queue, callback: (error) => error && denied.resolve(error.message) })
    await stolen.flush()
    assert.match(await denied.promise, /permission/i)
  }
})

test('what a node needs is allowed', async () => {
  const before = refused.length
  for (const request of NODE_REQUESTS) stolen.publish(nodeRequestSubject(attacker, request), 'x', { reply: `${inboxPrefix(attacker)}.x` })
  stolen.publish(heartbeatSubject(attacker), 'x')
  const acknowledged = await stolen.jetstream().publish(logSubject(attacker, 'att_own'), 'x')
  assert.equal(acknowledged.stream, 'RGRID_LOGS')
  stolen.subscribe(wakeSubject('default'), { queue: 'runners' })
  stolen.subscribe(controlSubject(attacker))
  await stolen.flush()
  assert.deepEqual(refused.slice(before), [])
})

test('a credential that has expired, or is not signed by us, does not connect', async () => {
  await assert.rejects(connectWith(attacker, Date.now() - 60_000), /auth/i)
  const key = createNodeKey()
  const jwt = await mintNodeJwt(testMinter(), { id: attacker, pool: 'default', publicKey: key.publicKey }, Date.now() + 3_600_000)
  const forged = jwt.replace(
    /\.[^.]*\./,
    (claims) => `.${Buffer.from(Buffer.from(claims.slice(1, -1), 'base64url').toString().replaceAll(attacker, victim)).toString('base64url')}.`,
  )
  await assert.rejects(connect({ servers: testServices().natsUrl, authenticator: jwtAuthenticator(forged, Buffer.from(key.seed)), reconnect: false }), /auth/i)
  const other = createNodeKey()
  await assert.rejects(connect({ servers: testServices().natsUrl, authenticator: jwtAuthenticator(jwt, Buffer.from(other.seed)), reconnect: false }), /auth/i)
})

test('the proof for a fresh credential is good for that node and that moment only', () => {
  const key = createNodeKey()
  const signature = signWithSeed(key.seed, credentialProof(attacker, 1000))
  assert.ok(verifyCredentialProof(key.publicKey, attacker, 1000, signature))
  assert.ok(!verifyCredentialProof(key.publicKey, victim, 1000, signature))
  assert.ok(!verifyCredentialProof(key.publicKey, attacker, 1001, signature))
  assert.ok(!verifyCredentialProof(createNodeKey().publicKey, attacker, 1000, signature))
  assert.ok(!verifyCredentialProof('nonsense', attacker, 1000, 'nonsense'))
})
