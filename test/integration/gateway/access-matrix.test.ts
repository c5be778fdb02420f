import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
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

/** What is not of the API, and open to everybody. */
const OUTSIDE = ['/docs', '/healthz', '/readyz', '/openapi.json']

const ORG = 'org_matrix'
const IdRow = row(Type.Object({ id: Type.String() }))
let gateway: TestGateway
let people: People
let siblingId: string
let siblingKey: string
const objects: Record<string, string> = {}
/** Every route that was registered, such as `GET /v1/jobs/{id}`, whether the document shows it or not. */
const registered = new Set<string>()

/** Fastify tells of each instance before anything is registered with it. */
function watchRoutes(message: unknown): void {
  const { fastify } = message as { fastify: FastifyInstance }
  fastify.addHook('onRoute', ({ method, url }) => {
    for (const one of [method].flat()) registered.add(`${one} ${url.replaceAll(/:(\w+)/g, '{$1}')}`)
  })
}

before(async () => {
  people = await createPeople()
  subscribe('fastify.initialization', watchRoutes)
  gateway = await startGateway({ oidc: people.oidc })
  unsubscribe('fastify.initialization', watchRoutes)
  const { admin, factory } = gateway
  // The account of the test is the organisation that people sign in to.
  await admin.query(sql.unsafe`update accounts set issuer = ${people.issuer}, external_id = ${`org:${ORG}`} where id = ${factory.accountId}`)
  await admin.query(sql.unsafe`insert into projects (id, account_id, slug, name) values (${newId('project')}, ${factory.accountId}, 'sibling', 'x')`)
  siblingId = await admin.oneFirst(sql.type(IdRow)`select id from projects where slug = 'sibling'`)
  siblingKey = await createApiKey(admin, siblingId, 'sibling', ['*'])
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

interface Answer {
  status: number
  code: string
}

async function ask(route: string, headers: Record<string, string>): Promise<Answer> {
  const response = await send(route, headers)
  return { status: response.statusCode, code: response.statusCode >= 400 ? response.json().code : '' }
}

async function send(route: string, headers: Record<string, string>): Promise<LightMyRequestResponse> {
  const { method, url } = addressOf(route)
  // What it would change is not to be changed: a body that no route takes. Where there is none, the change is one that can be made again.
  const bodiless = method === 'GET' || /cancel|DELETE/.test(route)
  return gateway.app.inject({ method, url, headers, ...(bodiless ? {} : { payload: { nonsense: true } }) })
}

/** Through: whatever comes, it is not about who asks. An object was deleted by an allowed row: then there is none any more. */
function assertThrough(route: string, who: string, answer: Answer): void {
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

test('the matrix has a row for each route, and none that is not there', () => {
  // A HEAD is what Fastify makes of a GET, and has its access.
  const inApi = [...registered].filter((route) => route.includes(' /v1')).map((route) => route.replace('HEAD ', 'GET '))
  assert.deepEqual([...new Set(inApi)].sort(), Object.keys(ROUTES).sort())
})

test('outside the API there is nothing but the document, its page and the probes', () => {
  const paths = [...registered].map((route) => route.split(' ')[1] ?? '').filter((path) => !path.startsWith('/v1'))
  assert.deepEqual(
    paths.filter((path) => !OUTSIDE.some((open) => path === open || path.startsWith(`${open}/`))),
    [],
  )
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

/** Somebody who was an owner of the account by the provider's word, and made a key. */
async function signInOnce(who: string): Promise<{ id: string; key: string; named: () => Promise<Record<string, string>> }> {
  const named = async () => asKey(await people.token(who, { id: ORG, role: 'owner' }))
  const { id } = (await gateway.app.inject({ url: '/v1/me', headers: await named() })).json<{ id: string }>()
  const made = await gateway.app.inject({ method: 'POST', url: '/v1/projects/default/keys', headers: await named(), payload: { name: who } })
  return { id, key: made.json().key, named }
}

/** What a stranger is answered on routes that are of a project, the account, whoever asks, and operators. `own`: it is about their own account. */
type Expected = Record<Exclude<Where, 'open'>, 403 | 404 | 'own'>
interface Stranger {
  who: string
  headers: Record<string, string>
  expected: Expected
  /** Ids that they must not be shown. */
  foreign: string[]
}

async function strangers(): Promise<Stranger[]> {
  const { admin, factory } = gateway
  const ids = (table: string, column = 'id') =>
    admin.anyFirst(sql.type(IdRow)`
      select ${sql.identifier([column])} as id from ${sql.identifier([table])} where account_id = ${factory.accountId} and project_id = ${factory.projectId}`)
  const ofProject = [factory.projectId, ...(await ids('jobs')), ...(await ids('batches')), ...(await ids('api_keys')), ...(await ids('webhook_endpoints'))]
  const member = (await signInOnce('member')).id
  const ofAccount = [factory.accountId, siblingId, member, objects.artifacts ?? '', ...ofProject]
  const byKey: Expected = { project: 404, account: 403, caller: 'own', operator: 403 }
  const byToken: Expected = { project: 404, account: 'own', caller: 'own', operator: 403 }
  const choosing: Expected = { project: 404, account: 404, caller: 404, operator: 404 }
  const chosen = { 'x-rgrid-account': factory.accountId }
  const key = asKey(await createApiKey(admin, await ensureProject(admin, 'stranger', 'stranger'), 'stranger', ['*']))
  const owner = async () => asKey(await people.token('stranger'))
  const other = async () => asKey(await people.token('stranger', { id: 'org_other', role: 'admin' }))
  return [
    { who: 'a key of another project', headers: asKey(siblingKey), expected: byKey, foreign: ofProject },
    { who: 'a key of another account', headers: key, expected: byKey, foreign: ofAccount },
    { who: 'a key of another account that chooses this one', headers: { ...key, ...chosen }, expected: byKey, foreign: ofAccount },
    { who: 'the owner of another account', headers: await owner(), expected: byToken, foreign: ofAccount },
    { who: 'the owner of another account who chooses this one', headers: { ...(await owner()), ...chosen }, expected: choosing, foreign: ofAccount },
    { who: 'the admin of another organisation', headers: await other(), expected: byToken, foreign: ofAccount },
    { who: 'the admin of another organisation who chooses this one', headers: { ...(await other()), ...chosen }, expected: choosing, foreign: ofAccount },
  ]
}

test('another project’s key, and another account’s key and people, find nothing of this one, on any route', async () => {
  const all = await strangers()
  for (const [route, [where]] of routes()) {
    for (const { who, headers, expected, foreign } of all) {
      const response = await send(route, headers)
      // An error may repeat what they sent themselves.
      const sent = `${addressOf(route).url} ${headers['x-rgrid-account']}`
      const shown = foreign.filter((id) => response.body.includes(id) && !sent.includes(id))
      assert.deepEqual(shown, [], `${route} shows ${who} what is not theirs`)
      if (where === 'open') continue
      const answer = { status: response.statusCode, code: response.statusCode >= 400 ? response.json().code : '' }
      const wanted = expected[where]
      if (wanted !== 'own') refused(wanted)(route, who, answer)
      else if (route.startsWith('GET')) assert.equal(answer.status, 200, `${route} by ${who}: ${answer.code}`)
      else assertThrough(route, who, answer)
    }
  }
})

test('a key lists the one project that it is of', async () => {
  const key = await createApiKey(gateway.admin, await ensureProject(gateway.admin, 'stranger', 'stranger'), 'lister', ['*'])
  for (const [credential, slug] of [
    [siblingKey, 'sibling'],
    [key, 'stranger'],
  ] as const) {
    const { items } = (await send('GET /v1/projects', asKey(credential))).json<{ items: { slug: string }[] }>()
    assert.deepEqual(
      items.map((project) => project.slug),
      [slug],
    )
  }
})

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
      if (where === 'caller') assert.ok(!(await send(route, byProject)).body.includes(siblingId), `${route} shows ${role} of one project another one`)
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
