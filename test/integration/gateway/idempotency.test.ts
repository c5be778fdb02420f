import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { createApiKey } from '#store/bootstrap.ts'
import { row } from '#store/row.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'

const JOBS = '/v1/projects/default/jobs'
const SPEC = { spec: { runtime: 'bash', command: ['true'] } }
const CountRow = row(Type.Object({ count: Type.Number() }))

let gateway: TestGateway
before(async () => {
  gateway = await startGateway()
})
after(() => gateway.stop())

const count = (table: string) => gateway.admin.oneFirst(sql.type(CountRow)`select count(*)::int as count from ${sql.identifier([table])}`)
const post = (url: string, body: object | undefined, key: string) => gateway.call('POST', url, body, { 'idempotency-key': key })

const WEBHOOK = { url: 'https://example.com/hook', events: ['job.failed'] }
for (const [what, table, url, body, other] of [
  ['a job', 'jobs', JOBS, SPEC, { spec: { runtime: 'bash', command: ['false'] } }],
  ['a batch', 'batches', '/v1/projects/default/batches', { template: SPEC.spec, items: [{}, {}] }, { template: SPEC.spec, items: [{}] }],
  ['a key', 'api_keys', '/v1/projects/default/keys', { name: 'a' }, { name: 'b' }],
  ['a webhook', 'webhook_endpoints', '/v1/projects/default/webhooks', WEBHOOK, { ...WEBHOOK, description: 'x' }],
  ['a file', 'files', '/v1/projects/default/files', { sha256: 'a'.repeat(64), sizeBytes: 1 }, { sha256: 'b'.repeat(64), sizeBytes: 1 }],
] as const) {
  test(`${what}: the same request gets the same answer and makes nothing; another one with its key is 422`, async () => {
    const key = randomUUID()
    const before = await count(table)
    const first = await post(url, body, key)
    assert.equal(first.statusCode, 201, first.body)
    assert.equal(first.headers['idempotency-replayed'], undefined)
    const again = await post(url, body, key)
    assert.deepEqual([again.statusCode, again.json(), again.headers.location], [201, first.json(), first.headers.location])
    assert.equal(again.headers['idempotency-replayed'], 'true')
    assert.equal(await count(table), before + 1)
    const wrong = await post(url, other, key)
    assert.equal(wrong.statusCode, 422)
    assert.match(wrong.json().detail, /Idempotency-Key: was used for another request/)
    assert.equal(await count(table), before + 1)
  })
}

test('twenty at once make one job, and all get its id', async () => {
  const key = randomUUID()
  const before = await count('jobs')
  const answers = await Promise.all(Array.from({ length: 20 }, () => post(JOBS, SPEC, key)))
  assert.deepEqual([...new Set(answers.map((answer) => answer.statusCode))], [201])
  assert.equal(new Set(answers.map((answer) => answer.json().id)).size, 1)
  assert.equal(answers.filter((answer) => answer.headers['idempotency-replayed'] === undefined).length, 1)
  assert.equal(await count('jobs'), before + 1)
})

test('an answer that was lost after the commit is found by another gateway', async () => {
  const key = randomUUID()
  const first = await post(JOBS, SPEC, key)
  // Another process on the same database: nothing of the first one is in its memory.
  const other = await gateway.another()
  try {
    const again = await other.inject({ method: 'POST', url: JOBS, payload: SPEC, headers: { authorization: `Bearer ${gateway.key}`, 'idempotency-key': key } })
    assert.deepEqual(again.json(), first.json())
  } finally {
    await other.close()
  }
})

test('what was refused, or failed, may be tried again with its key', async () => {
  const key = randomUUID()
  assert.equal((await post(JOBS, { spec: {} }, key)).statusCode, 422)
  assert.equal((await post(JOBS, SPEC, key)).statusCode, 201)
})

test('keys of one project are not those of another', async () => {
  const key = randomUUID()
  const first = await post(JOBS, SPEC, key)
  await gateway.admin.query(sql.unsafe`insert into projects (id, account_id, slug, name) values ('proj_second', ${gateway.factory.accountId}, 'second', 'x')`)
  const second = await createApiKey(gateway.admin, 'proj_second', 'x')
  const other = await gateway.app.inject({
    method: 'POST',
    url: '/v1/projects/second/jobs',
    payload: SPEC,
    headers: { authorization: `Bearer ${second}`, 'idempotency-key': key },
  })
  assert.equal(other.statusCode, 201)
  assert.notEqual(other.json().id, first.json().id)
})

test('after 24 hours a key is new', async () => {
  const key = randomUUID()
  const first = await post(JOBS, SPEC, key)
  await gateway.admin.query(sql.unsafe`update idempotency_keys set created_at = now() - interval '25 hours' where key = ${key}`)
  const again = await post(JOBS, SPEC, key)
  assert.notEqual(again.json().id, first.json().id)
  assert.equal(again.headers['idempotency-replayed'], undefined)
})

for (const key of ['', 'a b', 'x'.repeat(256), 'ä']) {
  test(`"${key.slice(0, 10)}" is no key`, async () => {
    const response = await post(JOBS, SPEC, key)
    assert.equal(response.statusCode, 400, response.body)
    assert.match(response.json().detail, /Idempotency-Key/)
  })
}

test('no stored answer holds a secret that can be read', async () => {
  const { key } = (await post('/v1/projects/default/keys', { name: 'secret' }, randomUUID())).json<{ key: string }>()
  const stored = await gateway.admin.anyFirst(sql.type(row(Type.Object({ answer: Type.String() })))`select answer from idempotency_keys`)
  assert.ok(stored.length > 0)
  assert.ok(stored.every((answer) => answer.startsWith('v1.test.') && !answer.includes(key)))
})

test('an answer is for who asked: somebody else of the project does not get a key by repeating the request that made it', async () => {
  const key = randomUUID()
  const mighty = (await gateway.call('POST', '/v1/projects/default/keys', { name: 'mighty', scopes: ['*'] })).json<{ id: string }>()
  const url = `/v1/keys/${mighty.id}/rotate`
  assert.equal((await post(url, {}, key)).statusCode, 201)
  const weak = await createApiKey(gateway.admin, gateway.factory.projectId, 'weak', ['keys:admin'])
  const headers = { authorization: `Bearer ${weak}`, 'idempotency-key': key }
  const answer = await gateway.app.inject({ method: 'POST', url, payload: {}, headers })
  assert.equal(answer.statusCode, 422, answer.body)
  assert.ok(!answer.body.includes('rgrid_live_'))
})
