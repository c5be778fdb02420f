import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance } from 'fastify'
import { sql } from 'slonik'
import type { KeyView, NewKeyView } from '#core/key-api.ts'
import { createApiKey } from '#store/bootstrap.ts'
import { row } from '#store/row.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'

const KEYS = '/v1/projects/default/keys'
const CountRow = row(Type.Object({ count: Type.Number() }))

let gateway: TestGateway
let other: FastifyInstance
before(async () => {
  gateway = await startGateway()
  other = await gateway.another()
})
after(async () => {
  await other.close()
  await gateway.stop()
})

const as = (key: string) => ({ authorization: `Bearer ${key}` })
const make = (body: object, key = gateway.key) => gateway.call('POST', KEYS, body, as(key))
const made = async (body: object, key = gateway.key): Promise<NewKeyView> => {
  const answer = await make(body, key)
  assert.equal(answer.statusCode, 201, answer.body)
  return answer.json()
}
const rotate = (id: string, body: object | undefined, key = gateway.key) => gateway.call('POST', `/v1/keys/${id}/rotate`, body, as(key))
const keys = () => gateway.admin.oneFirst(sql.type(CountRow)`select count(*)::int as count from api_keys`)
const works = async (key: string, app: Pick<FastifyInstance, 'inject'> = gateway.app) =>
  (await app.inject({ url: '/v1/me', headers: as(key) })).statusCode === 200

/** Resolves once no gateway takes the key any more; fails when one does that is asked a second later. */
async function goneEverywhere(key: string): Promise<void> {
  const fromMs = performance.now()
  for (const app of [gateway.app, other]) {
    for (let askedMs = performance.now(); await works(key, app); askedMs = performance.now())
      assert.ok(askedMs - fromMs < 1000, 'it works for more than a second')
  }
}

test('a key is shown once, and afterwards only described', async () => {
  const { key, ...view } = await made({ name: 'ci', scopes: ['jobs:read'], expiresInSeconds: 3600 })
  assert.ok(await works(key))
  const read = (await gateway.call('GET', `/v1/keys/${view.id}`)).json<KeyView>()
  assert.deepEqual({ ...read, lastUsedAt: null }, view)
  for (const answer of [await gateway.call('GET', KEYS), await gateway.call('GET', `/v1/keys/${view.id}`)]) assert.ok(!answer.body.includes(key))
})

test('no key gives what it does not have, takes what it does not have, or makes one that outlives it', async () => {
  const { key } = await made({ name: 'maker', scopes: ['keys:admin', 'keys:read', 'jobs:read'] })
  const mighty = await made({ name: 'mighty', scopes: ['*'] })
  const before = await keys()
  for (const scopes of [['jobs:write'], ['jobs:read', 'jobs:write'], ['*'], ['operator'], ['keys:admin', 'operator']])
    assert.ok([403, 422].includes((await make({ name: 'x', scopes }, key)).statusCode), scopes.join())
  assert.equal((await rotate(mighty.id, {}, key)).statusCode, 403)
  assert.equal((await gateway.call('DELETE', `/v1/keys/${mighty.id}`, undefined, as(key))).statusCode, 403)
  const all = await createApiKey(gateway.admin, gateway.factory.projectId, 'all', ['*'])
  assert.ok([403, 422].includes((await make({ name: 'x', scopes: ['operator'] }, all)).statusCode))
  assert.equal(await keys(), before + 1)
  assert.ok(await works(mighty.key))
  assert.deepEqual((await made({ name: 'child' }, key)).scopes.sort(), ['jobs:read', 'keys:admin', 'keys:read'], 'by default as much as its maker')
  const ending = await made({ name: 'ending', scopes: ['keys:admin', 'jobs:read'], expiresInSeconds: 3600 })
  for (const life of [{}, { expiresInSeconds: 7200 }]) {
    const answer = await make({ name: 'x', scopes: ['jobs:read'], ...life }, ending.key)
    assert.equal(answer.statusCode, 403, answer.body)
    assert.match(answer.json().detail, /^expiresInSeconds: .* outlives it/)
  }
  assert.equal((await make({ name: 'x', scopes: ['jobs:read'], expiresInSeconds: 1800 }, ending.key)).statusCode, 201)
})

test('of a rotated key both work for the overlap, with the same scopes; it is rotated once', async () => {
  const old = await made({ name: 'rotating', scopes: ['jobs:read'], expiresInSeconds: 3600 })
  const fresh = (await rotate(old.id, { overlapSeconds: 1800 })).json<NewKeyView>()
  assert.deepEqual([await works(old.key), await works(fresh.key), fresh.scopes], [true, true, ['jobs:read']])
  const view = (await gateway.call('GET', `/v1/keys/${old.id}`)).json<KeyView>()
  assert.equal(view.replacedBy, fresh.id)
  assert.ok(Math.abs(Date.parse(view.expiresAt ?? '') - Date.now() - 1_800_000) < 60_000)
  assert.equal((await rotate(old.id, {})).statusCode, 409)
  await rotate(fresh.id, { overlapSeconds: 0 })
  await goneEverywhere(fresh.key)
})

test('a key that ends makes none that outlives it by rotating another one, and by rotating itself one that ends when it does', async () => {
  const scopes = ['keys:admin', 'keys:read', 'jobs:read']
  const ending = await made({ name: 'ending', scopes, expiresInSeconds: 1800 })
  const forever = await made({ name: 'forever', scopes: ['jobs:read'] })
  const longer = await made({ name: 'longer', scopes: ['jobs:read'], expiresInSeconds: 3600 })
  const before = await keys()
  for (const { id } of [forever, longer]) {
    const answer = await rotate(id, {}, ending.key)
    assert.equal(answer.statusCode, 403, answer.body)
    assert.match(answer.json().detail, /ends in 1[78]\d\d s, and may make none that outlives it/)
  }
  assert.equal(await keys(), before)
  assert.equal((await gateway.call('GET', `/v1/keys/${forever.id}`)).json<KeyView>().replacedBy, null)
  const shorter = await made({ name: 'shorter', scopes: ['jobs:read'], expiresInSeconds: 600 })
  assert.equal((await rotate(shorter.id, {}, ending.key)).statusCode, 201)

  // As if most of its time had passed.
  await gateway.admin.query(sql.unsafe`update api_keys set created_at = created_at - interval '9 days' where id = ${ending.id}`)
  let last = ending
  for (let n = 0; n < 3; n++) {
    const answer = await rotate(last.id, { overlapSeconds: 0 }, last.key)
    assert.equal(answer.statusCode, 201, answer.body)
    last = answer.json()
    const end = (view: KeyView) => Date.parse(view.expiresAt ?? '')
    assert.ok(end(last) <= end(ending) && end(last) > end(ending) - 10_000, `${ending.expiresAt} became ${last.expiresAt}`)
  }
  // Somebody else may give it a new life.
  assert.ok(Date.parse((await rotate(last.id, {})).json<KeyView>().expiresAt ?? '') > Date.now())
})

test('an overlap never makes a key live longer than it would have', async () => {
  const old = await made({ name: 'short', scopes: ['jobs:read'], expiresInSeconds: 120 })
  await rotate(old.id, { overlapSeconds: 86_400 })
  assert.equal((await gateway.call('GET', `/v1/keys/${old.id}`)).json<KeyView>().expiresAt, old.expiresAt)
})

test('a revoked key is refused by two gateways within a second', async () => {
  const { id, key } = await made({ name: 'revoked' })
  assert.deepEqual([await works(key), await works(key, other)], [true, true])
  assert.equal((await gateway.call('DELETE', `/v1/keys/${id}`)).statusCode, 204)
  await goneEverywhere(key)
  assert.equal((await rotate(id, {})).statusCode, 409)
})
