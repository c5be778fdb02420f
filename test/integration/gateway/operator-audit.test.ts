import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { AuditEntry, OperatorAuditEntry } from '#core/account-api.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { createPeople, type People } from '../../harness/people.ts'

const ORG = { id: 'org_concerned', role: 'owner' } as const

let gateway: TestGateway
let people: People
let accountId: string
let operator: { id: string; name: string }
before(async () => {
  people = await createPeople()
  gateway = await startGateway({ oidc: people.oidc })
  accountId = (await asOwner('/v1/me')).account.id
  operator = (await gateway.call('GET', '/v1/me')).json()
})
after(async () => {
  await gateway.stop()
  await people.stop()
})

async function asOwner(url: string) {
  const answer = await gateway.app.inject({ url, headers: { authorization: `Bearer ${await people.token('owner', ORG)}` } })
  assert.equal(answer.statusCode, 200, answer.body)
  return answer.json()
}
const ofOperators = async (query = '') => (await gateway.call('GET', `/v1/audit${query}`)).json<{ items: OperatorAuditEntry[] }>().items
const change = async (id: string, body: object) => {
  const answer = await gateway.call('PATCH', `/v1/accounts/${id}/limits`, body, { 'x-request-id': 'told-to-the-operator' })
  assert.equal(answer.statusCode, 200, answer.body)
}

test('what an operator does to an account is told to its owner, and not who of the operators it was, nor from where', async () => {
  await change(accountId, { openJobs: 0 })
  const answer = (await asOwner('/v1/account/audit')) as { items: AuditEntry[] }
  assert.equal(answer.items.length, 1)
  const { id: _, at: __, ...deed } = answer.items[0] as AuditEntry
  assert.deepEqual(deed, {
    actor: { kind: 'operator', id: 'operator', name: 'operator' },
    action: 'limits.change',
    project: null,
    objectId: accountId,
    ip: null,
    requestId: 'told-to-the-operator',
    details: { openJobs: 0 },
  })
  assert.equal((await asOwner('/v1/account/audit?actor=operator')).items.length, 1)
  assert.equal((await asOwner(`/v1/account/audit?actor=${operator.id}`)).items.length, 0, 'a key of operators cannot be found by trying')
})

test('operators read what operators did: to an account, to all of them, to nodes; with who it was and from where', async () => {
  const nodeId = await gateway.factory.node()
  assert.equal((await gateway.call('POST', `/v1/nodes/${nodeId}/drain`)).statusCode, 200)
  await change('default', { openJobs: 1000 })
  await gateway.call('POST', '/v1/projects/default/keys', { name: 'of the operator as a tenant', scopes: ['jobs:read'] })
  const deeds = await ofOperators()
  assert.deepEqual(
    deeds.map(({ action, objectId, account }) => [action, objectId, account]),
    [
      ['limits.change', 'default', null],
      ['node.drain', nodeId, null],
      ['limits.change', accountId, accountId],
    ],
  )
  for (const { actor, ip } of deeds) assert.deepEqual([actor, ip], [{ kind: 'operator', id: operator.id, name: operator.name }, '127.0.0.1'])
  assert.deepEqual(
    (await ofOperators(`?account=${accountId}`)).map(({ action }) => action),
    ['limits.change'],
  )
  assert.equal((await ofOperators(`?actor=${operator.id}&action=node.drain&object=${nodeId}`)).length, 1)
  assert.equal((await ofOperators(`?until=${new Date(Date.now() - 3_600_000).toISOString()}`)).length, 0)
})

test('what is of no account, or of another one, is in no tenant’s log: not in that of the operators’ own account either', async () => {
  const own = (await gateway.call('GET', '/v1/projects/default/audit')).json<{ items: AuditEntry[] }>().items
  assert.ok(own.length > 0 && own.every(({ actor }) => actor.kind === 'key'))
  assert.equal((await asOwner('/v1/account/audit')).items.length, 1)
})

test('a key that is no operator’s does not read it', async () => {
  const { key } = (await gateway.call('POST', '/v1/projects/default/keys', { name: 'reader', scopes: ['audit:read'] })).json()
  assert.equal((await gateway.call('GET', '/v1/audit', undefined, { authorization: `Bearer ${key}` })).statusCode, 403)
})
