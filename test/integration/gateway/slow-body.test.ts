import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { Role } from '#core/access.ts'
import type { NewKeyView } from '#core/key-api.ts'
import { row } from '#store/row.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { createPeople, type People } from '../../harness/people.ts'
import { type RawAnswer, rawConnection } from '../../harness/raw-http.ts'

const ORG = 'org_slow'
const PROJECT = '/v1/projects/default'
const SPEC = { runtime: 'bash', command: ['true'] }
const FlagRow = row(Type.Object({ flag: Type.Boolean() }))
const CountRow = row(Type.Object({ count: Type.Number() }))

let gateway: TestGateway
let people: People
let address: string
before(async () => {
  people = await createPeople()
  gateway = await startGateway({ oidc: people.oidc })
  await gateway.admin.query(sql.unsafe`update accounts set issuer = ${people.issuer}, external_id = ${`org:${ORG}`} where id = ${gateway.factory.accountId}`)
  address = await gateway.listen()
})
after(async () => {
  await gateway.stop()
  await people.stop()
})

const as = (token: string) => ({ authorization: `Bearer ${token}` })
const me = (headers: Record<string, string>) => gateway.app.inject({ url: '/v1/me', headers })
const stored = () =>
  gateway.admin.oneFirst(sql.type(CountRow)`select (select count(*) from jobs) + (select count(*) from batches) + (select count(*) from api_keys) as count`)
const until = async (met: () => Promise<boolean>) => {
  const fromMs = performance.now()
  while (!(await met())) assert.ok(performance.now() - fromMs < 10_000, 'it does not come')
}

interface SlowRequest {
  method: string
  path: string
  type?: string
  body: string
  headers: Record<string, string>
  /** Resolves with whether it is known here that the gateway has let the request in. */
  letIn(): Promise<boolean>
  /** What is done while the body is on its way. */
  meanwhile(): Promise<void>
}

/** Sends the head of a request and some of its body; the rest when it was let in, and all is done that happens meanwhile. */
async function slowly({ method, path, type = 'application/json', body, headers, letIn, meanwhile }: SlowRequest): Promise<RawAnswer> {
  const connection = await rawConnection(address)
  const head = { host: 'x', 'content-type': type, 'content-length': String(Buffer.byteLength(body)), ...headers }
  const lines = Object.entries(head).map(([name, value]) => `${name}: ${value}`)
  connection.write(`${[`${method} ${path} HTTP/1.1`, ...lines].join('\r\n')}\r\n\r\n${body.slice(0, 5)}`)
  await until(letIn)
  await meanwhile()
  connection.write(body.slice(5))
  const answer = await connection.answer()
  connection.close()
  return answer
}

async function newKey(): Promise<NewKeyView & { used(): Promise<boolean> }> {
  const made = (await gateway.call('POST', `${PROJECT}/keys`, { name: 'slow', scopes: ['jobs:write', 'files:write'] })).json<NewKeyView>()
  return { ...made, used: () => gateway.admin.oneFirst(sql.type(FlagRow)`select last_used_at is not null as flag from api_keys where id = ${made.id}`) }
}

/** Revokes a key that is in use, and waits until it is refused: longer than any caller is remembered. */
async function revoke({ id, key }: NewKeyView): Promise<void> {
  await me(as(key))
  assert.equal((await gateway.call('DELETE', `/v1/keys/${id}`)).statusCode, 204)
  await until(async () => (await me(as(key))).statusCode === 401)
}

const BATCH = `${JSON.stringify({ template: SPEC })}\n${'{}\n'.repeat(3)}`
for (const [what, path, body, type] of [
  ['a submit', `${PROJECT}/jobs`, JSON.stringify({ spec: SPEC })],
  ['a batch as one document', `${PROJECT}/batches`, JSON.stringify({ template: SPEC, items: [{}] })],
  ['a streamed batch', `${PROJECT}/batches`, BATCH, 'application/x-ndjson'],
  ['an upload', `${PROJECT}/files`, JSON.stringify({ sha256: 'a'.repeat(64), sizeBytes: 1 })],
] as const) {
  const send = async (meanwhile: (made: NewKeyView) => Promise<void>) => {
    const { used, ...made } = await newKey()
    return slowly({ method: 'POST', path, body, headers: as(made.key), letIn: used, meanwhile: () => meanwhile(made), ...(type && { type }) })
  }

  test(`${what} whose key was revoked while its body came is refused, and nothing is stored`, async () => {
    const before = await stored()
    const answer = await send(revoke)
    assert.equal(answer.status, 401, answer.body)
    assert.equal(JSON.parse(answer.body).code, 'unauthenticated')
    assert.equal(await stored(), before + 1, 'the key alone')
  })

  test(`${what} that takes as long with a key that is still good is taken`, async () => {
    const answer = await send(async () => revoke(await newKey()))
    assert.ok([200, 201].includes(answer.status), answer.body)
  })
}

let persons = 0
/** A person of the organisation with this role, and a request of his that is on its way while his role becomes another one, or ends. */
async function whileRoleBecomes(role: Role | null, request: Pick<SlowRequest, 'method' | 'path' | 'body'>): Promise<RawAnswer> {
  const token = await people.token(`person-${persons++}`)
  const userId = (await me(as(token))).json<{ id: string }>().id
  await gateway.admin.query(
    sql.unsafe`insert into memberships (account_id, user_id, role, source) values (${gateway.factory.accountId}, ${userId}, 'owner', 'manual')`,
  )
  // Noted anew when the slow request has come.
  await gateway.admin.query(sql.unsafe`update users set last_seen_at = now() - interval '2 minutes' where id = ${userId}`)
  const headers = { ...as(token), 'x-rgrid-account': gateway.factory.accountId }
  const seen = () => gateway.admin.oneFirst(sql.type(FlagRow)`select last_seen_at > now() - interval '1 minute' as flag from users where id = ${userId}`)
  const change =
    role === null
      ? sql.unsafe`delete from memberships where account_id = ${gateway.factory.accountId} and user_id = ${userId}`
      : sql.unsafe`update memberships set role = ${role} where account_id = ${gateway.factory.accountId} and user_id = ${userId}`
  return slowly({
    ...request,
    headers,
    letIn: seen,
    async meanwhile() {
      await gateway.admin.query(change)
      await until(async () => {
        const answer = await me(headers)
        return role === null ? answer.statusCode === 404 : answer.json<{ role: Role }>().role === role
      })
    },
  })
}

test('a role that was lowered while the body came counts: within a project, in the account, and for what a key may be given', async () => {
  const submit = { method: 'POST', path: `${PROJECT}/jobs`, body: JSON.stringify({ spec: SPEC }) }
  assert.equal((await whileRoleBecomes('viewer', submit)).status, 403)
  assert.equal((await whileRoleBecomes('developer', submit)).status, 201)
  const rename = { method: 'PATCH', path: '/v1/account', body: JSON.stringify({ name: 'taken over' }) }
  assert.equal((await whileRoleBecomes('developer', rename)).status, 403)
  const makeKey = { method: 'POST', path: `${PROJECT}/keys`, body: JSON.stringify({ name: 'mighty', scopes: ['*'] }) }
  assert.equal((await whileRoleBecomes('developer', makeKey)).status, 403)
  assert.equal((await whileRoleBecomes('admin', makeKey)).status, 201)
})

test('a membership that ended while the body came is none any more', async () => {
  assert.equal((await whileRoleBecomes(null, { method: 'POST', path: `${PROJECT}/jobs`, body: JSON.stringify({ spec: SPEC }) })).status, 401)
  assert.equal((await whileRoleBecomes(null, { method: 'PATCH', path: '/v1/account', body: JSON.stringify({ name: 'taken over' }) })).status, 401)
})
