import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { createPeople, type People } from '../../harness/people.ts'

let gateway: TestGateway
let people: People
let owner: string
let batchId: string
let jobId: string
let attemptId: string
let webhookId: string
let made = 0
before(async () => {
  people = await createPeople()
  gateway = await startGateway({ oidc: people.oidc })
  const { factory, admin } = gateway
  await admin.query(sql.unsafe`update accounts set issuer = ${people.issuer}, external_id = 'org:org_pages' where id = ${factory.accountId}`)
  owner = await people.token('owner', { id: 'org_pages', role: 'owner' })
  batchId = await factory.batch({ size: 100 })
  const job = await gateway.attempts.assign(await factory.job())
  await gateway.attempts.finish(job)
  jobId = job.jobId
  attemptId = job.attemptId
  webhookId = (await gateway.call('POST', '/v1/projects/default/webhooks', { url: 'https://example.com/h' })).json().id
})
after(async () => {
  await gateway.stop()
  await people.stop()
})

const word = () => `w${String((made++ * 7919) % 1000).padStart(3, '0')}`
const user = async () => {
  const id = newId('user')
  await gateway.admin.query(sql.unsafe`insert into users (id, issuer, subject, email, name) values (${id}, 'x', ${id}, null, null)`)
  return id
}
const member = async (projectId: string | null) =>
  gateway.admin.query(
    sql.unsafe`insert into memberships (account_id, user_id, project_id, role, source) values (${gateway.factory.accountId}, ${await user()}, ${projectId}, 'viewer', 'manual')`,
  )
const post = async (url: string, body?: unknown) => assert.equal((await gateway.call('POST', url, body)).statusCode, 201)
const asOwner = () => ({ authorization: `Bearer ${owner}` })
const setDefaults = async () => assert.equal((await gateway.call('PATCH', '/v1/accounts/default/limits', { openJobs: null })).statusCode, 200)

/** Every list: where it is, and what makes one more of it, anywhere in its order. */
const LISTS: [string, () => string, () => Promise<unknown>][] = [
  ['jobs', () => '/v1/projects/default/jobs?', () => gateway.factory.job()],
  ['the jobs of a batch', () => `/v1/projects/default/jobs?batch=${batchId}&`, () => gateway.factory.job({ batchId, batchIndex: made++ })],
  ['outputs', () => `/v1/jobs/${jobId}/artifacts?`, artifact],
  ['keys', () => '/v1/projects/default/keys?', () => post('/v1/projects/default/keys', { name: word(), scopes: ['jobs:read'] })],
  ['secrets', () => '/v1/projects/default/secrets?', () => gateway.call('PUT', `/v1/projects/default/secrets/${word()}`, { value: 'x' })],
  ['webhooks', () => '/v1/projects/default/webhooks?', () => post('/v1/projects/default/webhooks', { url: 'https://example.com/h' })],
  ['deliveries', () => `/v1/webhooks/${webhookId}/deliveries?`, () => post(`/v1/webhooks/${webhookId}/test`)],
  ['members of a project', () => '/v1/projects/default/members?', () => member(gateway.factory.projectId)],
  ['the audit log of a project', () => '/v1/projects/default/audit?', () => post('/v1/projects/default/keys', { name: word(), scopes: ['jobs:read'] })],
  ['nodes', () => '/v1/nodes?', () => gateway.factory.node()],
  ['the audit log of operators', () => '/v1/audit?', setDefaults],
  ['members of the account', () => '/v1/account/members?', () => member(null)],
  ['projects', () => '/v1/projects?', project],
  ['the audit log of the account', () => '/v1/account/audit?', () => post('/v1/projects/default/keys', { name: word(), scopes: ['jobs:read'] })],
]

async function artifact(): Promise<void> {
  const id = newId('artifact')
  await gateway.admin.query(sql.unsafe`
    insert into artifacts (id, account_id, job_id, attempt_id, path, key, size_bytes, sha256)
    values (${id}, ${gateway.factory.accountId}, ${jobId}, ${attemptId}, ${`${word()}/Ä ${made}.txt`}, ${id}, 1, ${'a'.repeat(64)})`)
}

async function project(): Promise<void> {
  const slug = word()
  const response = await gateway.app.inject({ method: 'POST', url: '/v1/projects', headers: asOwner(), payload: { slug } })
  assert.equal(response.statusCode, 201, response.body)
}

const get = (url: string) =>
  gateway.app.inject({ url, headers: url.includes('/account/') || url.startsWith('/v1/projects?') ? asOwner() : { authorization: `Bearer ${gateway.key}` } })

type Item = Record<string, unknown>
const idOf = (item: Item) => String(item.id ?? item.userId)

for (const [what, address, makeOne] of LISTS) {
  test(`${what}: who reads page by page while others are made sees each that was there once, and none twice`, async () => {
    for (let n = 0; n < 5; n++) await makeOne()
    const whole = await get(`${address()}limit=200`)
    assert.equal(whole.statusCode, 200, whole.body)
    const there: string[] = whole.json().items.map(idOf)
    assert.ok(there.length >= 5)
    assert.equal(whole.json().nextCursor, null)
    assert.equal(whole.headers.link, undefined)
    const seen: string[] = []
    let next: string | undefined = `${address()}limit=2`
    while (next !== undefined) {
      const response = await get(next)
      assert.equal(response.statusCode, 200, response.body)
      const { items, nextCursor } = response.json<{ items: Item[]; nextCursor: string | null }>()
      seen.push(...items.map(idOf))
      const link = /^<(.*)>; rel="next"$/.exec(String(response.headers.link))?.[1]
      assert.equal(link === undefined, nextCursor === null)
      if (nextCursor !== null) assert.ok(link?.includes(encodeURIComponent(nextCursor)))
      next = link
      if (seen.length <= 4) await makeOne()
    }
    assert.equal(new Set(seen).size, seen.length, 'one came twice')
    assert.deepEqual(
      seen.filter((id) => there.includes(id)),
      there,
    )
  })

  test(`${what}: a cursor that is damaged, of another list or of other filters is 422, and says so`, async () => {
    const { nextCursor } = (await get(`${address()}limit=1`)).json()
    assert.equal(typeof nextCursor, 'string')
    const [scope, position] = JSON.parse(Buffer.from(nextCursor, 'base64url').toString())
    const forged = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const wrong = [
      'x',
      '%F0%9F',
      nextCursor.slice(0, -3),
      forged([]),
      forged([scope]),
      forged([scope, null]),
      forged([scope, typeof position === 'number' ? 'x' : 1]),
      forged([scope, typeof position === 'number' ? 1e300 : 'a\u0000']),
      forged([scope, typeof position === 'number' ? 1.5 : '\ud800']),
      forged(['another', position]),
    ]
    for (const cursor of wrong) {
      const response = await get(`${address()}cursor=${cursor}`)
      assert.equal(response.statusCode, 422, `${cursor}: ${response.body}`)
      assert.equal(response.json().code, 'validation')
      assert.equal(response.json().errors[0].path, 'cursor')
    }
    const elsewhere = what === 'jobs' ? '/v1/projects/default/keys?' : '/v1/projects/default/jobs?'
    assert.match((await get(`${elsewhere}cursor=${nextCursor}`)).json().detail, /cursor: (is of another list|take it)/)
  })
}

test('a cursor goes with its filters; only the size of the page may change', async () => {
  for (let n = 0; n < 4; n++) await gateway.factory.job()
  const { nextCursor } = (await get('/v1/projects/default/jobs?limit=1&state=queued')).json()
  assert.equal((await get(`/v1/projects/default/jobs?limit=3&cursor=${nextCursor}&state=queued`)).statusCode, 200)
  for (const filters of ['', '&state=running', '&state=queued&name=x']) {
    const response = await get(`/v1/projects/default/jobs?cursor=${nextCursor}${filters}`)
    assert.equal(response.statusCode, 422)
    assert.match(response.json().detail, /other filters/)
  }
})

test('each list of the document is among these', async () => {
  const { paths } = (await gateway.app.inject('/openapi.json')).json<{
    paths: Record<string, { get?: { responses: object; parameters?: { name?: string }[] } }>
  }>()
  // A search goes on in places of its own (log-search.test.ts).
  const lists = Object.entries(paths).filter(
    ([path, { get: operation }]) => !path.endsWith('/logs') && JSON.stringify(operation?.responses ?? {}).includes('"nextCursor"'),
  )
  const paged = lists.filter(([, { get: operation }]) => operation?.parameters?.some(({ name }) => name === 'cursor')).map(([path]) => path)
  assert.deepEqual(paged.sort(), lists.map(([path]) => path).sort())
  // The jobs of a batch are those of the project, filtered.
  assert.equal(paged.length, LISTS.length - 1, paged.join(' '))
})
