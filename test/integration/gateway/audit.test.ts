import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { AuditEntry } from '#core/account-api.ts'
import type { JobView } from '#core/api.ts'
import type { NewKeyView } from '#core/key-api.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'

const PROJECT = '/v1/projects/default'

let gateway: TestGateway
before(async () => {
  gateway = await startGateway()
})
after(() => gateway.stop())

const as = (key: string) => ({ authorization: `Bearer ${key}` })
const entries = async () => (await gateway.call('GET', `${PROJECT}/audit`)).json<{ items: AuditEntry[] }>().items
const theNewest = async () => (await entries())[0] as AuditEntry

async function makeKey(scopes: string[]): Promise<NewKeyView> {
  const answer = await gateway.call('POST', `${PROJECT}/keys`, { name: 'ci', scopes })
  assert.equal(answer.statusCode, 201, answer.body)
  return answer.json()
}

test('what is done is written down: who, what, to which object, from where, by which request; never the secret of it', async () => {
  const key = await makeKey(['jobs:read', 'jobs:write', 'secrets:write'])
  const made = await theNewest()
  assert.deepEqual([made.action, made.objectId, made.actor.kind, made.project, made.ip], ['key.create', key.id, 'key', 'default', '127.0.0.1'])
  assert.notEqual(made.actor.id, key.id)

  const submitted = await gateway.call('POST', `${PROJECT}/jobs`, { spec: { runtime: 'bash', command: ['true'] } }, as(key.key))
  assert.equal(submitted.statusCode, 201, submitted.body)
  const { id } = submitted.json<JobView>()
  const submit = await theNewest()
  assert.deepEqual([submit.objectId, submit.actor, submit.requestId], [id, { kind: 'key', id: key.id, name: 'ci' }, submitted.headers['x-request-id']])
  assert.match(submit.action, /^job\.submit$/)

  assert.equal((await gateway.call('POST', `/v1/jobs/${id}/cancel`, undefined, as(key.key))).statusCode, 200)
  assert.deepEqual([(await theNewest()).action, (await theNewest()).objectId], ['job.cancel', id])

  const secret = await gateway.call('PUT', `${PROJECT}/secrets/TOKEN`, { value: 'canary-of-the-log' }, as(key.key))
  assert.equal(secret.statusCode, 200, secret.body)
  assert.deepEqual([(await theNewest()).action, (await theNewest()).details.name], ['secret.set', 'TOKEN'])

  assert.equal((await gateway.call('DELETE', `/v1/keys/${key.id}`)).statusCode, 204)
  assert.deepEqual([(await theNewest()).action, (await theNewest()).objectId], ['key.revoke', key.id])
  const all = JSON.stringify(await entries())
  assert.ok(!all.includes('canary-of-the-log') && !all.includes(key.key))
})

test('what was refused is not written down as done', async () => {
  const before = (await entries()).length
  assert.equal((await gateway.call('POST', `${PROJECT}/jobs`, { spec: {} })).statusCode, 422)
  const { key } = await makeKey(['jobs:read'])
  assert.equal((await gateway.call('POST', `${PROJECT}/jobs`, { spec: { runtime: 'bash', command: ['true'] } }, as(key))).statusCode, 403)
  assert.equal((await gateway.call('DELETE', '/v1/keys/key_00000000000000000000000000')).statusCode, 404)
  assert.equal((await entries()).length, before + 1)
})

test('only who may read it does', async () => {
  const { key } = await makeKey(['jobs:read', 'jobs:write', 'keys:admin'])
  assert.equal((await gateway.call('GET', `${PROJECT}/audit`, undefined, as(key))).statusCode, 403)
  const reader = await makeKey(['audit:read'])
  assert.equal((await gateway.call('GET', `${PROJECT}/audit`, undefined, as(reader.key))).statusCode, 200)
})
