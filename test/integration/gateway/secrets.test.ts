import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { createApiKey, ensureProject } from '#store/bootstrap.ts'
import { MAX_SECRETS, secretContext } from '#store/project-secrets.ts'
import { deleteProject } from '#store/projects.ts'
import { row } from '#store/row.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { testSealer } from '../../harness/secret-keys.ts'

let gateway: TestGateway
before(async () => {
  gateway = await startGateway()
})
after(() => gateway.stop())

const at = (name = '') => `/v1/projects/default/secrets${name && `/${name}`}`
const set = (name: string, body: unknown) => gateway.call('PUT', at(name), body)
const REGISTRY = { server: 'registry.example.com', username: 'robot', password: 'a-password-of-a-robot' }

async function stored(name: string): Promise<string> {
  const found = await gateway.admin.oneFirst(sql.type(row(Type.Object({ sealed: Type.String() })))`
    select sealed from secrets where name = ${name} and project_id = ${gateway.factory.projectId}`)
  return testSealer.open(found, secretContext(gateway.factory, name))
}

test('a secret is set and set again, listed without its value, and deleted', async () => {
  const first = await set('TOKEN', { value: 'the first value' })
  assert.equal(first.statusCode, 200, first.body)
  const { id, createdAt, updatedAt, ...rest } = first.json()
  assert.match(id, /^sec_/)
  assert.equal(createdAt, updatedAt)
  assert.deepEqual(rest, { name: 'TOKEN', kind: 'value', server: null, version: 1, lastUsedAt: null })
  const second = await set('TOKEN', { value: 'the second value' })
  assert.deepEqual([second.json().id, second.json().version, second.json().createdAt], [id, 2, createdAt])
  assert.equal(await stored('TOKEN'), 'the second value')
  const list = await gateway.call('GET', at())
  assert.deepEqual(list.json().items, [second.json()])
  assert.equal((await gateway.call('DELETE', at('TOKEN'))).statusCode, 204)
  assert.equal((await gateway.call('DELETE', at('TOKEN'))).statusCode, 404)
  assert.deepEqual((await gateway.call('GET', at())).json().items, [])
  for (const text of [first.body, second.body, list.body, gateway.logged.join('')]) assert.ok(!/(first|second) value/.test(text))
})

test('credentials of a registry are known by its one name, and each registry has one', async () => {
  const made = await set('hub', { registry: { ...REGISTRY, server: 'https://index.docker.io/v1/' } })
  assert.deepEqual([made.json().kind, made.json().server], ['registry', 'docker.io'])
  assert.deepEqual(JSON.parse(await stored('hub')), { username: REGISTRY.username, password: REGISTRY.password })
  const again = await set('hub2', { registry: { ...REGISTRY, server: 'docker.io' } })
  assert.equal(again.statusCode, 409)
  assert.match(again.json().detail, /has hub for docker\.io already/)
  assert.equal((await set('hub', { registry: REGISTRY })).json().server, 'registry.example.com')
  assert.equal((await set('hub2', { registry: { ...REGISTRY, server: 'docker.io' } })).statusCode, 200)
  const other = await set('hub', { value: 'x' })
  assert.deepEqual([other.statusCode, (await set('hub', { registry: REGISTRY })).json().version], [409, 3])
})

test('wrong names and bodies are refused by their field, and no answer repeats the value', async () => {
  const canary = 'canary-of-a-wrong-body'
  const wrong: [string, unknown, RegExp][] = [
    ['A', {}, /exactly one/],
    ['A', { value: canary, registry: REGISTRY }, /exactly one/],
    ['A', { value: '' }, /value/],
    ['A', { value: `${canary}\0` }, /value/],
    ['A', { value: `${canary}\ud800` }, /half of a surrogate pair/],
    ['A', { value: 7 }, /value/],
    ['A', { value: canary.padEnd(65_537, 'x') }, /value/],
    ['A', { value: canary + 'é'.repeat(33_000) }, /64 KiB/],
    ['A', { valeu: canary }, /valeu/],
    ['A', { registry: { ...REGISTRY, password: `${canary}\0` } }, /password/],
    ['A', { registry: { ...REGISTRY, server: 'a b' } }, /server/],
    ['1A', { value: canary }, /name/],
    ['A.B', { value: canary }, /name/],
    ['A'.repeat(129), { value: canary }, /name/],
  ]
  for (const [name, body, fault] of wrong) {
    const answer = await set(name, body)
    assert.equal(answer.statusCode, 422, `${name} ${JSON.stringify(body).slice(0, 80)}`)
    assert.match(answer.json().detail, fault)
    assert.ok(!answer.body.includes(canary), answer.body)
  }
  assert.equal((await set('A'.repeat(2000), { value: canary })).statusCode, 414)
  assert.equal((await set('A'.repeat(128), { value: 'the longest name' })).statusCode, 200)
  assert.equal((await set('LARGEST', { value: 'é'.repeat(32_768) })).statusCode, 200)
  assert.ok(!(await gateway.call('GET', at())).json().items.some((secret: { name: string }) => secret.name === 'A'))
  assert.ok(!gateway.logged.join('').includes(canary))
})

test('what was done is in the audit log, by name and version', async () => {
  const { id } = (await set('AUDITED', { value: 'a value of the audit' })).json()
  await set('AUDITED', { value: 'a value of the audit' })
  await gateway.call('DELETE', at('AUDITED'))
  const entries = await gateway.admin.any(sql.type(row(Type.Object({ action: Type.String(), details: Type.Unknown() })))`
    select action, details from audit_log where object_id = ${id} order by id`)
  const details = { name: 'AUDITED', kind: 'value', server: null }
  assert.deepEqual(entries, [
    { action: 'secret.set', details: { ...details, version: 1 } },
    { action: 'secret.set', details: { ...details, version: 2 } },
    { action: 'secret.delete', details: { name: 'AUDITED', version: 2 } },
  ])
})

test('another project has its own: the same name holds something else, and what is copied there does not open', async () => {
  const projectId = await ensureProject(gateway.admin, 'other', 'other')
  const headers = { authorization: `Bearer ${await createApiKey(gateway.admin, projectId, 'other')}` }
  await set('SHARED', { value: 'of the default project' })
  for (const [method, path] of [
    ['GET', at()],
    ['PUT', at('SHARED')],
    ['DELETE', at('SHARED')],
  ] as const)
    assert.equal((await gateway.call(method, path, method === 'PUT' ? { value: 'x' } : undefined, headers)).statusCode, 404, method)
  const theirs = await gateway.call('PUT', '/v1/projects/other/secrets/SHARED', { value: 'of the other one' }, headers)
  assert.equal(theirs.json().version, 1)
  assert.equal(await stored('SHARED'), 'of the default project')
  const sealed = await gateway.admin.oneFirst(sql.type(row(Type.Object({ sealed: Type.String() })))`
    select sealed from secrets where project_id = ${projectId}`)
  assert.throws(() => testSealer.open(sealed, secretContext(gateway.factory, 'SHARED')), /another place/)
})

test('the gateway cannot read what it has sealed', async () => {
  await set('UNREADABLE', { value: 'nobody reads this' })
  await assert.rejects(gateway.db.query(sql.unsafe`select sealed from secrets`), /permission denied/)
  await assert.rejects(gateway.db.query(sql.unsafe`update secrets set last_used_at = now()`), /permission denied/)
})

test('a project has a limited number, which those that arrive at once do not exceed', async () => {
  await gateway.admin.query(sql.unsafe`delete from secrets`)
  await gateway.admin.query(sql.unsafe`
    insert into secrets (id, account_id, project_id, name, kind, sealed)
    select 'sec_' || i, ${gateway.factory.accountId}, ${gateway.factory.projectId}, 'S' || i, 'value', 'x' from generate_series(3, ${MAX_SECRETS}) i`)
  const codes = (await Promise.all(['A', 'B', 'C', 'D'].map((name) => set(name, { value: name })))).map((answer) => answer.statusCode)
  assert.deepEqual(codes.sort(), [200, 200, 409, 409])
  assert.equal((await set('S3', { value: 'again' })).statusCode, 200)
})

test('with its project they go', async () => {
  const projectId = await ensureProject(gateway.admin, 'ending', 'ending')
  const headers = { authorization: `Bearer ${await createApiKey(gateway.admin, projectId, 'ending', ['*'])}` }
  await gateway.call('PUT', '/v1/projects/ending/secrets/A', { value: 'x' }, headers)
  await gateway.admin.transaction((tx) => deleteProject(tx, projectId))
  assert.equal(await gateway.admin.exists(sql.unsafe`select 1 from secrets where project_id = ${projectId}`), false)
})
