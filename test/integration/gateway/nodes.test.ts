import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { pino } from 'pino'
import { sql } from 'slonik'
import { connectNode } from '#bus/bus.ts'
import { createNodeKey, credentialProof, signWithSeed } from '#bus/credentials.ts'
import { Heartbeat } from '#bus/messages/node.ts'
import { heartbeatSubject } from '#bus/subjects.ts'
import { newId } from '#core/ids.ts'
import { NodeCredential, NodeList } from '#core/operator-api.ts'
import { createEnrolmentToken } from '#store/bootstrap.ts'
import { row } from '#store/row.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'

let gateway: TestGateway
before(async () => {
  gateway = await startGateway()
})
after(() => gateway.stop())

const token = (ttlSeconds = 60) => createEnrolmentToken(gateway.admin, ttlSeconds)
const request = (secret: string, publicKey = createNodeKey().publicKey) => ({
  token: secret,
  publicKey,
  name: 'worker-1',
  pool: 'default',
  slots: 2,
  memoryBytes: 2 ** 31,
  version: '0.1.0',
})
const enrol = (body: unknown) => gateway.app.inject({ method: 'POST', url: '/v1/nodes/enrol', payload: body as object })

async function enrolled(): Promise<{ nodeId: string; seed: string; credential: NodeCredential }> {
  const key = createNodeKey()
  const response = await enrol(request(await token(), key.publicKey))
  assert.equal(response.statusCode, 201, response.body)
  const credential: unknown = response.json()
  assert.ok(Value.Check(NodeCredential, credential))
  return { nodeId: credential.nodeId, seed: key.seed, credential }
}

const renew = (nodeId: string, seed: string, issuedAt = Date.now(), proofOf = nodeId) =>
  gateway.app.inject({
    method: 'POST',
    url: `/v1/nodes/${nodeId}/credentials`,
    payload: { issuedAt, signature: signWithSeed(seed, credentialProof(proofOf, issuedAt)) },
  })

test('a token makes a node, whose credential the bus accepts', async () => {
  const { nodeId, seed, credential } = await enrolled()
  assert.ok(Math.abs(Date.parse(credential.expiresAt) - Date.now() - 3_600_000) < 10_000)
  const node = await connectNode({ nodeId, url: credential.natsUrl, jwt: () => credential.jwt, seed: () => seed, log: pino({ level: 'silent' }) })
  const heard = new Promise((resolve) => gateway.bus.subscribe(heartbeatSubject(nodeId), Heartbeat, resolve))
  await gateway.bus.connection.flush()
  node.publish(heartbeatSubject(nodeId), Heartbeat, { state: 'ready', freeSlots: 2, attempts: 0 })
  assert.deepEqual(await heard, { state: 'ready', freeSlots: 2, attempts: 0 })
  await node.close()
})

test('of many that come with one token at once exactly one becomes a node', async () => {
  const secret = await token()
  const answers = await Promise.all(Array.from({ length: 8 }, () => enrol(request(secret))))
  assert.deepEqual(answers.map((answer) => answer.statusCode).sort(), [201, 401, 401, 401, 401, 401, 401, 401])
  assert.equal(await gateway.admin.oneFirst(sql.unsafe`select count(*)::int from enrolment_tokens where used_at is null`), 0)
})

test('a node whose answer was lost asks again with the same key and is the same node', async () => {
  const body = request(await token())
  const first = await enrol(body)
  const again = await enrol(body)
  assert.equal(again.statusCode, 201)
  assert.equal(again.json().nodeId, first.json().nodeId)
  assert.equal((await enrol({ ...body, publicKey: createNodeKey().publicKey })).statusCode, 401)
})

test('a token that is unknown or has expired makes no node', async () => {
  const before = await gateway.admin.oneFirst(sql.unsafe`select count(*)::int from nodes`)
  assert.equal((await enrol(request(`rgrid_enrol_${'0'.repeat(40)}`))).statusCode, 401)
  assert.equal((await enrol(request(await token(-1)))).statusCode, 401)
  assert.equal(await gateway.admin.oneFirst(sql.unsafe`select count(*)::int from nodes`), before)
})

/** A machine that was ordered, with the token that it boots with. */
async function bought(change: { state?: string; ttlSeconds?: number } = {}): Promise<{ nodeId: string; token: string }> {
  const nodeId = newId('node')
  const state = change.state ?? 'booting'
  await gateway.admin.query(sql.unsafe`
    insert into nodes (id, name, pool, state, slots, memory_bytes, provider, server_type, location, arch)
    values (${nodeId}, 'rgrid-bought', 'burst', ${state}, 2, ${2 ** 30}, 'local', 'small', 'here', 'amd64')`)
  return { nodeId, token: await createEnrolmentToken(gateway.admin, change.ttlSeconds ?? 60, nodeId) }
}

const Enrolled = row(
  Type.Object({
    state: Type.String(),
    name: Type.String(),
    pool: Type.String(),
    slots: Type.Number(),
    memory_bytes: Type.Number(),
    public_key: Type.Union([Type.String(), Type.Null()]),
    version: Type.Union([Type.String(), Type.Null()]),
    enrolled: Type.Boolean(),
  }),
)
const nodeRow = (nodeId: string) =>
  gateway.admin.one(sql.type(Enrolled)`
    select state, name, pool, slots, memory_bytes, public_key, version, enrolled_at is not null as enrolled from nodes where id = ${nodeId}`)

test('a token of a machine that was bought makes that node ready, with no more room than was bought', async () => {
  const { nodeId, token: secret } = await bought()
  const other = await bought()
  const body = { ...request(secret), slots: 8, memoryBytes: 2 ** 33, name: 'i-say-so', pool: 'default' }
  const first = await enrol(body)
  assert.equal(first.statusCode, 201, first.body)
  assert.equal(first.json().nodeId, nodeId)
  const expected = { state: 'ready', name: 'rgrid-bought', pool: 'burst', slots: 2, memory_bytes: 2 ** 30, version: '0.1.0', enrolled: true }
  assert.deepEqual(await nodeRow(nodeId), { ...expected, public_key: body.publicKey })
  assert.deepEqual({ state: 'booting', enrolled: false }, pick(await nodeRow(other.nodeId)))

  // Its answer was lost: the same machine asks again. Nobody else can.
  assert.equal((await enrol(body)).json().nodeId, nodeId)
  assert.equal((await enrol({ ...body, publicKey: createNodeKey().publicKey })).statusCode, 401)
})

test('a machine that has less than was bought is taken at its word', async () => {
  const { nodeId, token: secret } = await bought()
  assert.equal((await enrol({ ...request(secret), slots: 1, memoryBytes: 2 ** 29 })).statusCode, 201)
  const { slots, memory_bytes } = await nodeRow(nodeId)
  assert.deepEqual({ slots, memory_bytes }, { slots: 1, memory_bytes: 2 ** 29 })
})

test('the credential of a machine that was bought is for the pool that it was bought for', async () => {
  const { token: secret } = await bought()
  const { jwt } = (await enrol({ ...request(secret), pool: 'default' })).json()
  const claims = JSON.parse(Buffer.from(jwt.split('.')[1], 'base64url').toString())
  assert.ok(JSON.stringify(claims.nats.sub).includes('rgrid.wake.burst'), JSON.stringify(claims.nats))
  assert.ok(!JSON.stringify(claims.nats.sub).includes('rgrid.wake.default'))
})

test('a machine that is quicker than the answer to its order is told to ask again, and then gets in', async () => {
  const { nodeId, token: secret } = await bought({ state: 'creating' })
  const body = request(secret)
  const early = await enrol(body)
  assert.equal(early.statusCode, 503, early.body)
  assert.deepEqual({ state: 'creating', enrolled: false }, pick(await nodeRow(nodeId)))
  await gateway.admin.query(sql.unsafe`update nodes set state = 'booting' where id = ${nodeId}`)
  assert.equal((await enrol(body)).statusCode, 201)
})

for (const state of ['deleting', 'gone', 'failed']) {
  test(`a machine whose node is ${state} cannot enrol, nor ask again`, async () => {
    const late = await bought()
    await gateway.admin.query(sql.unsafe`update nodes set state = ${state} where id = ${late.nodeId}`)
    assert.equal((await enrol(request(late.token))).statusCode, 401)
    assert.deepEqual({ state, enrolled: false }, pick(await nodeRow(late.nodeId)))

    const ended = await bought()
    const body = request(ended.token)
    assert.equal((await enrol(body)).statusCode, 201)
    await gateway.admin.query(sql.unsafe`update nodes set state = ${state} where id = ${ended.nodeId}`)
    assert.equal((await enrol(body)).statusCode, 401)
  })
}

test('of many that come with the token of one machine at once exactly one becomes it', async () => {
  const { nodeId, token: secret } = await bought()
  const answers = await Promise.all(Array.from({ length: 8 }, () => enrol(request(secret))))
  assert.deepEqual(answers.map((answer) => answer.statusCode).sort(), [201, 401, 401, 401, 401, 401, 401, 401])
  assert.equal((await nodeRow(nodeId)).state, 'ready')
})

test('a second token of a machine that has enrolled is worth nothing, and an expired one neither', async () => {
  const { nodeId, token: secret } = await bought()
  const second = await createEnrolmentToken(gateway.admin, 60, nodeId)
  assert.equal((await enrol(request(secret))).statusCode, 201)
  assert.equal((await enrol(request(second))).statusCode, 401)
  const late = await bought({ ttlSeconds: -1 })
  assert.equal((await enrol(request(late.token))).statusCode, 401)
  assert.equal((await nodeRow(late.nodeId)).state, 'booting')
})

test('a machine that has not enrolled has no credential to renew', async () => {
  const { nodeId } = await bought()
  assert.equal((await renew(nodeId, createNodeKey().seed)).statusCode, 401)
})

function pick(node: { state: string; enrolled: boolean }): { state: string; enrolled: boolean } {
  return { state: node.state, enrolled: node.enrolled }
}

for (const [field, value] of [
  ['publicKey', 'UNOTAKEY'],
  ['publicKey', `U${'A'.repeat(55)}`],
  ['name', 'a b'],
  ['pool', 'Default'],
  ['pool', '>'],
  ['slots', 0],
  ['memoryBytes', 1],
  ['version', 'a\u0000b'],
  ['token', 'short'],
] as const) {
  test(`an enrolment with a wrong ${field} (${JSON.stringify(value)}) is 422 and uses up no token`, async () => {
    const secret = await token()
    const response = await enrol({ ...request(secret), [field]: value })
    assert.equal(response.statusCode, 422, response.body)
    assert.equal(response.json().errors[0].path, field)
    assert.equal((await enrol(request(secret))).statusCode, 201)
  })
}

test('a node gets a fresh credential by its signature, whatever state it is in, until it is gone', async () => {
  const { nodeId, seed } = await enrolled()
  for (const state of ['ready', 'draining', 'lost']) {
    await gateway.admin.query(sql.unsafe`update nodes set state = ${state} where id = ${nodeId}`)
    const response = await renew(nodeId, seed)
    assert.equal(response.statusCode, 200, response.body)
    assert.equal(response.json().nodeId, nodeId)
  }
  await gateway.admin.query(sql.unsafe`update nodes set state = 'gone' where id = ${nodeId}`)
  assert.equal((await renew(nodeId, seed)).statusCode, 401)
})

test('no signature but the node’s own, of this minute, gets a credential', async () => {
  const { nodeId, seed } = await enrolled()
  const other = await enrolled()
  const late = await renew(nodeId, seed, Date.now() - 90_000)
  assert.equal(late.statusCode, 401)
  assert.match(late.json().detail, /clock/)
  assert.equal((await renew(nodeId, seed, Date.now() + 90_000)).statusCode, 401)
  assert.equal((await renew(nodeId, other.seed)).statusCode, 401)
  assert.equal((await renew(nodeId, seed, Date.now(), other.nodeId)).statusCode, 401)
  assert.equal((await renew(newId('node'), seed)).statusCode, 401)
  for (const signature of ['', 'x', Buffer.alloc(64).toString('base64')]) {
    const response = await gateway.app.inject({ method: 'POST', url: `/v1/nodes/${nodeId}/credentials`, payload: { issuedAt: Date.now(), signature } })
    assert.equal(response.statusCode, 401)
  }
})

test('no secret of an enrolment is written into the log', async () => {
  const secret = await token()
  const response = await enrol(request(secret))
  const logged = gateway.logged.join('')
  assert.ok(logged.includes(response.json().nodeId))
  assert.ok(!logged.includes(secret))
  assert.ok(!logged.includes(response.json().jwt))
})

test('the nodes are listed with the slots that live leases use', async () => {
  const job = await gateway.attempts.assign(await gateway.factory.job({ spec: { priority: 100 } }))
  const list: unknown = (await gateway.call('GET', '/v1/nodes')).json()
  assert.ok(Value.Check(NodeList, list))
  assert.deepEqual(
    list.items.filter((node) => node.id === job.nodeId).map(({ slots, usedSlots, state }) => [slots, usedSlots, state]),
    [[2, 1, 'ready']],
  )
  await gateway.attempts.finish(job)
  const after = (await gateway.call('GET', '/v1/nodes')).json().items.find((node: { id: string }) => node.id === job.nodeId)
  assert.equal(after.usedSlots, 0)
})
