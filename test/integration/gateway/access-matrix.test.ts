import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { type Action, ROLES, type Role, SCOPES } from '#core/access.ts'
import { newId } from '#core/ids.ts'
import { createApiKey, ensureProject } from '#store/bootstrap.ts'
import { row } from '#store/row.ts'
import { hashSecret } from '#store/secrets.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { createPeople, type People } from '../../harness/people.ts'

/** What each role may do, said once more and by hand: the table of core/access.ts is checked against it. */
const VIEWER: Action[] = ['project:read', 'jobs:read', 'logs:read', 'files:read', 'webhooks:read', 'usage:read', 'members:read', 'account:read']
const DEVELOPER: Action[] = [...VIEWER, 'jobs:write', 'files:write', 'webhooks:admin', 'secrets:read', 'secrets:write', 'keys:read', 'keys:admin']
const ADMIN: Action[] = [...DEVELOPER, 'project:admin', 'members:admin', 'audit:read', 'account:admin']
const MAY: Record<Role, Action[]> = { viewer: VIEWER, developer: DEVELOPER, admin: ADMIN, owner: [...ADMIN, 'account:own'] }

type Where = 'project' | 'account' | 'operator' | 'caller' | 'open'
/** Every route, where it is and what it needs. A route without a row fails the test. */
const ROUTES: Record<string, [Where, Action?]> = {
  'GET /v1/auth': ['open'],
  'GET /v1/me': ['caller'],
  'GET /v1/account': ['account', 'account:read'],
  'PATCH /v1/account': ['account', 'account:admin'],
  'GET /v1/account/audit': ['account', 'audit:read'],
  'GET /v1/audit': ['operator'],
  'GET /v1/account/limits': ['account', 'usage:read'],
  'PATCH /v1/accounts/{id}/limits': ['operator'],
  'GET /v1/projects/{slug}/limits': ['project', 'usage:read'],
  'PATCH /v1/projects/{slug}/limits': ['project', 'project:admin'],
  'GET /v1/account/members': ['account', 'members:read'],
  'PUT /v1/account/members/{userId}': ['account', 'members:admin'],
  'DELETE /v1/account/members/{userId}': ['account', 'members:admin'],
  'GET /v1/projects': ['caller'],
  'POST /v1/projects': ['account', 'account:admin'],
  'GET /v1/projects/{slug}': ['project', 'project:read'],
  'PATCH /v1/projects/{slug}': ['project', 'project:admin'],
  'DELETE /v1/projects/{slug}': ['project', 'account:own'],
  'GET /v1/projects/{slug}/audit': ['project', 'audit:read'],
  'GET /v1/projects/{slug}/members': ['project', 'members:read'],
  'PUT /v1/projects/{slug}/members/{userId}': ['project', 'members:admin'],
  'DELETE /v1/projects/{slug}/members/{userId}': ['project', 'members:admin'],
  'GET /v1/projects/{slug}/keys': ['project', 'keys:read'],
  'POST /v1/projects/{slug}/keys': ['project', 'keys:admin'],
  'GET /v1/keys/{id}': ['project', 'keys:read'],
  'DELETE /v1/keys/{id}': ['project', 'keys:admin'],
  'POST /v1/keys/{id}/rotate': ['project', 'keys:admin'],
  'GET /v1/projects/{slug}/secrets': ['project', 'secrets:read'],
  'PUT /v1/projects/{slug}/secrets/{name}': ['project', 'secrets:write'],
  'DELETE /v1/projects/{slug}/secrets/{name}': ['project', 'secrets:write'],
  'POST /v1/projects/{slug}/jobs': ['project', 'jobs:write'],
  'GET /v1/projects/{slug}/jobs': ['project', 'jobs:read'],
  'POST /v1/projects/{slug}/batches': ['project', 'jobs:write'],
  'POST /v1/projects/{slug}/files': ['project', 'files:write'],
  'GET /v1/projects/{slug}/logs': ['project', 'logs:read'],
  'GET /v1/projects/{slug}/webhooks': ['project', 'webhooks:read'],
  'POST /v1/projects/{slug}/webhooks': ['project', 'webhooks:admin'],
  'GET /v1/jobs/{id}': ['project', 'jobs:read'],
  'GET /v1/jobs/{id}/explain': ['project', 'jobs:read'],
  'POST /v1/jobs/{id}/cancel': ['project', 'jobs:write'],
  'GET /v1/jobs/{id}/logs': ['project', 'logs:read'],
  'GET /v1/jobs/{id}/logs/stream': ['project', 'logs:read'],
  'GET /v1/jobs/{id}/artifacts': ['project', 'files:read'],
  'GET /v1/artifacts/{id}/download': ['project', 'files:read'],
  'GET /v1/batches/{id}': ['project', 'jobs:read'],
  'POST /v1/batches/{id}/cancel': ['project', 'jobs:write'],
  'GET /v1/events': ['project', 'jobs:read'],
  'GET /v1/cost': ['project', 'usage:read'],
  'GET /v1/account/cost': ['account', 'usage:read'],
  'GET /v1/nodes/cost': ['operator'],
  'POST /v1/estimate': ['project', 'usage:read'],
  'GET /v1/webhooks/{id}': ['project', 'webhooks:read'],
  'PATCH /v1/webhooks/{id}': ['project', 'webhooks:admin'],
  'DELETE /v1/webhooks/{id}': ['project', 'webhooks:admin'],
  'GET /v1/webhooks/{id}/deliveries': ['project', 'webhooks:read'],
  'GET /v1/webhooks/{id}/deliveries/{deliveryId}': ['project', 'webhooks:read'],
  'POST /v1/webhooks/{id}/deliveries/{deliveryId}/redeliver': ['project', 'webhooks:admin'],
  'POST /v1/webhooks/{id}/redeliver': ['project', 'webhooks:admin'],
  'POST /v1/webhooks/{id}/rotate': ['project', 'webhooks:admin'],
  'POST /v1/webhooks/{id}/test': ['project', 'webhooks:admin'],
  'GET /v1/nodes': ['operator'],
  'GET /v1/nodes/{id}': ['operator'],
  'GET /v1/cells': ['operator'],
  'POST /v1/nodes/{id}/drain': ['operator'],
  'POST /v1/nodes/{id}/resume': ['operator'],
  'GET /v1/doctor': ['operator'],
  'POST /v1/nodes/enrol': ['open'],
  'POST /v1/nodes/{id}/credentials': ['open'],
}

const ORG = 'org_matrix'
const IdRow = row(Type.Object({ id: Type.String() }))
let gateway: TestGateway
let people: People
let siblingKey: string
const objects: Record<string, string> = {}

before(async () => {
  people = await createPeople()
  gateway = await startGateway({ oidc: people.oidc })
  const { admin, factory } = gateway
  // The account of the test is the organisation that people sign in to.
  await admin.query(sql.unsafe`update accounts set issuer = ${people.issuer}, external_id = ${`org:${ORG}`} where id = ${factory.accountId}`)
  await admin.query(sql.unsafe`insert into projects (id, account_id, slug, name) values (${newId('project')}, ${factory.accountId}, 'sibling', 'x')`)
  const sibling = await admin.oneFirst(sql.type(IdRow)`select id from projects where slug = 'sibling'`)
  siblingKey = await createApiKey(admin, sibling, 'sibling', ['*'])
  const job = await gateway.attempts.assign(await factory.job())
  const artifacts = [{ path: 'a.txt', sizeBytes: 1, sha256: 'a'.repeat(64), executable: false }]
  await gateway.attempts.finish(job, { artifacts })
  objects.jobs = job.jobId
  objects.artifacts = await admin.oneFirst(sql.type(IdRow)`select id from artifacts`)
  objects.batches = await factory.batch({ size: 1 })
  for (const route of ['DELETE /v1/keys/{id}', 'DELETE /v1/webhooks/{id}']) await remake(route)
  await ensureProject(admin, 'stranger', 'stranger')
})
after(async () => {
  await gateway.stop()
  await people.stop()
})

/** The address of a route, of objects of the project `default`. */
function addressOf(route: string): { method: 'GET'; url: string } {
  const [method, path] = route.split(' ') as ['GET', string]
  const kind = path.split('/')[2] ?? ''
  const url = path
    .replace('{slug}', 'default')
    .replace('{id}', objects[kind] ?? 'node_x')
    .replace('{deliveryId}', objects.delivery ?? '')
    .replace('{userId}', 'user_nobody')
    .replace('{name}', 'A_SECRET')
  // Their project stands in the query; the stream of events is refused before it begins.
  const query = { '/v1/events': '?project=default&type=nonsense', '/v1/cost': '?project=default', '/v1/estimate': '?project=default' }[path] ?? ''
  return { method, url: `${url}${query}` }
}

async function ask(route: string, headers: Record<string, string>): Promise<{ status: number; code: string }> {
  const { method, url } = addressOf(route)
  // What it would change is not to be changed: a body that no route takes. Where there is none, the change is one that can be made again.
  const bodiless = method === 'GET' || /cancel|DELETE/.test(route)
  const response = await gateway.app.inject({ method, url, headers, ...(bodiless ? {} : { payload: { nonsense: true } }) })
  return { status: response.statusCode, code: response.statusCode >= 400 ? response.json().code : '' }
}

/** Through: whatever comes, it is not about who asks. An object was deleted by an allowed row: then there is none any more. */
function assertThrough(route: string, who: string, answer: { status: number; code: string }): void {
  assert.ok(![401, 403].includes(answer.status) && answer.status < 500, `${route} by ${who}: ${answer.status} ${answer.code}`)
  if (!/nodes|userId|DELETE|accounts/.test(route)) assert.notEqual(answer.status, 404, `${route} by ${who}: not found`)
}

const asKey = (key: string) => ({ authorization: `Bearer ${key}` })
const refused = (status: number) => (route: string, who: string, answer: { status: number }) => assert.equal(answer.status, status, `${route} by ${who}`)
/** Deletions come last, each on what was made for it. */
const routes = () => Object.entries(ROUTES).sort(([a], [b]) => Number(a.startsWith('DELETE')) - Number(b.startsWith('DELETE')))

/** Makes what a route takes away. */
async function remake(route: string): Promise<void> {
  if (route === 'DELETE /v1/keys/{id}')
    objects.keys = (await gateway.call('POST', '/v1/projects/default/keys', { name: 'object', scopes: ['keys:admin'] })).json().id
  if (route === 'DELETE /v1/webhooks/{id}') {
    objects.webhooks = (await gateway.call('POST', '/v1/projects/default/webhooks', { url: 'https://example.com/h', events: ['job.failed'] })).json().id
    objects.delivery = (await gateway.call('POST', `/v1/webhooks/${objects.webhooks}/test`)).json().id
  }
}

test('the matrix has a row for each route, and none that is not there', async () => {
  const { paths } = (await gateway.app.inject('/openapi.json')).json<{ paths: Record<string, Record<string, unknown>> }>()
  const listed = Object.entries(paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`))
  assert.deepEqual(listed.sort(), Object.keys(ROUTES).sort())
})

test('without a valid credential every route but the open ones is 401', async () => {
  const stale = async (column: string) => {
    const key = await createApiKey(gateway.admin, gateway.factory.projectId, column)
    await gateway.admin.query(sql.unsafe`update api_keys set ${sql.identifier([column])} = now() where hash = ${sql.binary(hashSecret(key))}`)
    return key
  }
  const credentials: [string, Record<string, string>][] = [
    ['nobody', {}],
    ['garbage', asKey('garbage')],
    ['a mistyped key', asKey(`${gateway.key.slice(0, -1)}${gateway.key.endsWith('0') ? '1' : '0'}`)],
    ['a key with another secret', asKey(gateway.key.replace(/_(.)(.{37})$/, (_, first: string, rest: string) => `_${first === 'a' ? 'b' : 'a'}${rest}`))],
    ['an expired key', asKey(await stale('expires_at'))],
    ['a revoked key', asKey(await stale('revoked_at'))],
    ['a token that nobody gave', asKey('a.b.c')],
  ]
  for (const [route, [where]] of routes()) {
    for (const [who, headers] of credentials) {
      const answer = await ask(route, headers)
      if (where === 'open') assert.ok([200, 401, 404, 422].includes(answer.status), `${route} by ${who}: ${answer.status}`)
      else assert.deepEqual(answer, { status: 401, code: 'unauthenticated' }, `${route} by ${who}`)
    }
  }
})

test('another project’s key, and another account’s person, find nothing', async () => {
  const strangers: [string, Record<string, string>][] = [
    ['a key of another project', asKey(siblingKey)],
    ['a key of another account', asKey(await createApiKey(gateway.admin, await ensureProject(gateway.admin, 'stranger', 'stranger'), 'stranger', ['*']))],
    ['the owner of another account', asKey(await people.token('stranger'))],
    ['the admin of another organisation', asKey(await people.token('stranger', { id: 'org_other', role: 'admin' }))],
  ]
  for (const [route, [where]] of routes()) {
    for (const [who, headers] of strangers) {
      const answer = await ask(route, headers)
      if (where === 'project') refused(404)(route, who, answer)
      if (where === 'operator') refused(403)(route, who, answer)
      // Their own account, not this one.
      if (where === 'account' && who.includes('key')) refused(403)(route, who, answer)
    }
  }
  const chosen = await ask('GET /v1/account', { ...asKey(await people.token('stranger')), 'x-rgrid-account': gateway.factory.accountId })
  assert.deepEqual(chosen, { status: 404, code: 'not_found' })
})

/** Somebody who was an owner of the account by the provider's word, and made a key. */
async function signInOnce(who: string): Promise<{ id: string; key: string; named: () => Promise<Record<string, string>> }> {
  const named = async () => asKey(await people.token(who, { id: ORG, role: 'owner' }))
  const { id } = (await gateway.app.inject({ url: '/v1/me', headers: await named() })).json<{ id: string }>()
  const made = await gateway.app.inject({ method: 'POST', url: '/v1/projects/default/keys', headers: await named(), payload: { name: who } })
  return { id, key: made.json().key, named }
}

test('a former member is refused on every route, whatever they show', async () => {
  const chosen = async (who: string) => ({ ...asKey(await people.token(who)), 'x-rgrid-account': gateway.factory.accountId })
  const [left, out] = [await signInOnce('left'), await signInOnce('out'), await signInOnce('demoted')]
  await gateway.admin.query(sql.unsafe`update memberships set confirmed_at = now() - interval '2 hours' where user_id = ${left.id}`)
  const owner = await signInOnce('remover')
  const removal = await gateway.app.inject({ method: 'DELETE', url: `/v1/account/members/${out.id}`, headers: await owner.named() })
  assert.equal(removal.statusCode, 200, removal.body)
  const unmapped = asKey(await people.token('demoted', { id: ORG, role: 'billing' }))
  assert.equal((await gateway.app.inject({ url: '/v1/me', headers: unmapped })).statusCode, 403)
  const former: [string, Record<string, string>, number][] = [
    ['somebody whom the provider does not name any more', await chosen('left'), 404],
    ['somebody who was taken out, by a token without the organisation', await chosen('out'), 404],
    ['somebody who was taken out, by a token of the organisation', await out.named(), 403],
    ['somebody whose role the provider took', await chosen('demoted'), 404],
    ['somebody whose role the provider took, by a token of the organisation', unmapped, 403],
    ['the key of somebody who was taken out', asKey(out.key), 401],
  ]
  for (const [route, [where]] of routes()) {
    if (where === 'open') continue
    for (const [who, headers, status] of former) refused(status)(route, who, await ask(route, headers))
  }
})

for (const role of ROLES) {
  test(`${role}: everything that the role allows, and nothing else`, async () => {
    const signIn = async (token: string) => (await gateway.app.inject({ url: '/v1/me', headers: asKey(token) })).json<{ id: string }>().id
    const ofAccount = () => people.token(`${role}-account`, { id: ORG, role: 'viewer' })
    const member = await signIn(await ofAccount())
    await gateway.admin.query(sql.unsafe`update memberships set role = ${role}, source = 'manual' where user_id = ${member} and project_id is null`)
    const guest = await signIn(await people.token(`${role}-project`))
    if (role !== 'owner')
      await gateway.admin.query(sql.unsafe`
        insert into memberships (account_id, user_id, project_id, role) values (${gateway.factory.accountId}, ${guest}, ${gateway.factory.projectId}, ${role})`)
    // New tokens: what was found of the first ones is remembered for half a second.
    const byAccount = asKey(await ofAccount())
    const byProject = { ...asKey(await people.token(`${role}-project`)), 'x-rgrid-account': gateway.factory.accountId }
    for (const [route, [where, action]] of routes()) {
      if (where === 'open' || route === 'DELETE /v1/projects/{slug}') continue
      const allowed = where === 'caller' || (action !== undefined && MAY[role].includes(action))
      const answer = await ask(route, byAccount)
      if (allowed) assertThrough(route, role, answer)
      else refused(403)(route, role, answer)
      await remake(route)
      if (role === 'owner') continue
      const within = await ask(route, byProject)
      if (where === 'caller' || (where === 'project' && allowed)) assertThrough(route, `${role} of the project`, within)
      else refused(403)(route, `${role} of the project`, within)
      await remake(route)
    }
  })
}

test('each scope of a key allows what it names, in its project, and nothing else', async () => {
  for (const scope of SCOPES) {
    const key = asKey(await createApiKey(gateway.admin, gateway.factory.projectId, scope, [scope]))
    for (const [route, [where, action]] of routes()) {
      if (where === 'open') continue
      const answer = await ask(route, key)
      if (where === 'caller' || (where === 'project' && action === scope)) assertThrough(route, scope, answer)
      else refused(403)(route, scope, answer)
      await remake(route)
    }
  }
})

test('"*" is everything within a project, "operator" what operators do', async () => {
  const all = asKey(await createApiKey(gateway.admin, gateway.factory.projectId, 'all', ['*']))
  const operator = asKey(await createApiKey(gateway.admin, gateway.factory.projectId, 'operator', ['operator']))
  for (const [route, [where, action]] of routes()) {
    if (where === 'open') continue
    const ofAll = await ask(route, all)
    if (where === 'caller' || (where === 'project' && action !== 'account:own')) assertThrough(route, '*', ofAll)
    else refused(403)(route, '*', ofAll)
    await remake(route)
    const ofOperator = await ask(route, operator)
    if (where === 'caller' || where === 'operator') assertThrough(route, 'operator', ofOperator)
    else refused(403)(route, 'operator', ofOperator)
  }
})
