import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { FastifyInstance } from 'fastify'
import { sql } from 'slonik'
import type { AuditEntry, MemberView, MeView, RemovedMember } from '#core/account-api.ts'
import type { NewKeyView } from '#core/key-api.ts'
import { openEvents } from '../../harness/event-stream.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { createPeople, type People } from '../../harness/people.ts'

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE'

let people: People
let gateway: TestGateway
before(async () => {
  people = await createPeople()
  gateway = await startGateway({ oidc: people.oidc })
})
after(async () => {
  await gateway.stop()
  await people.stop()
})

const as = (token: string, account?: string) => ({ authorization: `Bearer ${token}`, ...(account === undefined ? {} : { 'x-rgrid-account': account }) })

async function ask<T>(method: Method, url: string, headers: Record<string, string>, payload?: object, app: Pick<FastifyInstance, 'inject'> = gateway.app) {
  const answer = await app.inject({ method, url, headers, ...(payload ? { payload } : {}) })
  return { status: answer.statusCode, body: (answer.body === '' ? {} : answer.json()) as T & { detail?: string } }
}
const me = async (headers: Record<string, string>) => (await ask<MeView>('GET', '/v1/me', headers)).body

/** An organisation with a chief, who is its owner, and bob, who signed in with a role once. */
async function organisation(id: string, role = 'admin') {
  const by = async (who: string, theirs: string | null, agoSeconds = 0) => as(await people.token(who, { id, role: theirs }, agoSeconds))
  const { id: bob, account } = await me(await by('bob', role))
  await me(await by('chief', 'owner'))
  const chief = () => by('chief', 'owner')
  return {
    account: account.id,
    bob,
    chief,
    /** Of bob: a token that names the organisation. */
    named: (theirs: string | null = role, agoSeconds = 0) => by('bob', theirs, agoSeconds),
    /** Of bob: a token that names none, and the account chosen by hand. */
    unnamed: async () => as(await people.token('bob'), account.id),
    member: async () => {
      const { body } = await ask<{ items: MemberView[] }>('GET', '/v1/account/members', await chief())
      return body.items.find(({ userId }) => userId === bob)
    },
    audited: async (action: string) => (await ask<{ items: AuditEntry[] }>('GET', `/v1/account/audit?action=${action}`, await chief())).body.items,
    /** As if the provider had named bob's membership last so long ago. */
    age: (hours: number) =>
      gateway.admin.query(sql.unsafe`update memberships set confirmed_at = now() - make_interval(hours => ${hours}) where user_id = ${bob} and source = 'idp'`),
  }
}
const project = async (headers: Record<string, string>, slug: string) =>
  (await ask<{ apiKey: NewKeyView }>('POST', '/v1/projects', headers, { slug })).body.apiKey
/** Whether a key still works; whom it speaks for is remembered for half a second. */
async function ends(key: string): Promise<void> {
  const fromMs = performance.now()
  while ((await ask('GET', '/v1/me', as(key))).status !== 401) assert.ok(performance.now() - fromMs < 1000, 'it works for more than a second')
}

test('whom the provider does not name any more is in for the configured time, and no longer', async () => {
  const org = await organisation('org_left')
  assert.equal((await ask('GET', '/v1/account/members', await org.unnamed())).status, 200)
  assert.equal((await org.member())?.state, 'active')
  await org.age(2)
  for (const [method, url, body] of [
    ['GET', '/v1/account/members'],
    ['GET', '/v1/me'],
    ['POST', '/v1/projects', { slug: 'backdoor' }],
  ] as const)
    assert.equal((await ask(method, url, await org.unnamed(), body)).status, 404, url)
  const { accounts } = await me(as(await people.token('bob')))
  assert.ok(!accounts.some(({ id }) => id === org.account))
  assert.equal((await org.member())?.state, 'lapsed')
  assert.equal((await ask('GET', '/v1/account/members', await org.named())).status, 200, 'the provider names them again')
  assert.equal((await ask('GET', '/v1/account/members', await org.unnamed())).status, 200)
})

test('with a time of 0 only a token that names the organisation is in', async (t) => {
  const strict = await startGateway({ oidc: people.oidc, organisationGraceSeconds: 0 })
  t.after(() => strict.stop())
  const at = async (headers: Record<string, string>) => (await ask<MeView>('GET', '/v1/me', headers, undefined, strict.app)).body
  const { account } = await at(as(await people.token('bob', { id: 'org_strict', role: 'admin' })))
  assert.equal((await ask('GET', '/v1/account/members', as(await people.token('bob'), account.id), undefined, strict.app)).status, 404)
  const named = as(await people.token('bob', { id: 'org_strict', role: 'admin' }), account.id)
  assert.equal((await ask('GET', '/v1/account/members', named, undefined, strict.app)).status, 200)
  assert.deepEqual(
    (await at(named)).accounts.map(({ name }) => name),
    ['org_strict', 'bob'],
  )
})

test('what somebody follows goes on while their token is good, and ends when they are taken out', async (t) => {
  const strict = await startGateway({ oidc: people.oidc, organisationGraceSeconds: 0 })
  t.after(() => strict.stop())
  const address = await strict.listen()
  const named = async (who: string) => as(await people.token(who, { id: 'org_stream', role: 'owner' }))
  await ask('POST', '/v1/projects', await named('chief'), { slug: 'stream' }, strict.app)
  const follow = async (who: string) => {
    const { id } = (await ask<MeView>('GET', '/v1/me', await named(who), undefined, strict.app)).body
    const stream = await openEvents(`${address}/v1/events?project=stream`, await named(who))
    t.after(() => stream.close())
    let isOpen = true
    const end = stream
      .until(() => false)
      .then(
        () => (isOpen = false),
        () => (isOpen = false),
      )
    return { end, isOpen: () => isOpen, takeOut: async () => ask('DELETE', `/v1/account/members/${id}`, await named('chief'), undefined, strict.app) }
  }
  const [stays, goes] = [await follow('stays'), await follow('goes')]
  assert.equal((await goes.takeOut()).status, 200)
  await goes.end
  assert.ok(stays.isOpen(), 'the token still names the organisation')
  assert.equal((await stays.takeOut()).status, 200)
  await stays.end
})

test('the age of a membership is that of the token that named it', async () => {
  const org = await organisation('org_aged')
  await org.age(100)
  assert.equal((await ask('GET', '/v1/account', await org.named('admin', 7200))).status, 200)
  assert.equal((await ask('GET', '/v1/account', await org.unnamed())).status, 404)
  await me(await org.named('viewer', 60))
  assert.equal((await me(await org.named('admin', 120))).role, 'viewer', 'what the provider said last is what counts')
})

test('an owner takes a member out: no sign-in brings them back until somebody lets them in, and their keys end', async () => {
  const org = await organisation('org_out')
  const first = await project(await org.named(), 'out')
  const theirs = (await ask<NewKeyView>('POST', '/v1/projects/out/keys', await org.named(), { name: 'theirs' })).body
  const grandchild = (await ask<NewKeyView>('POST', '/v1/projects/out/keys', as(theirs.key), { name: 'of theirs', scopes: ['jobs:read'] })).body
  const others = (await ask<NewKeyView>('POST', '/v1/projects/out/keys', await org.chief(), { name: 'ci' })).body
  assert.equal((await org.member())?.keys, 3)

  const removed = await ask<RemovedMember>('DELETE', `/v1/account/members/${org.bob}`, await org.chief())
  assert.equal(removed.status, 200, removed.body.detail)
  assert.equal(removed.body.blocked, true)
  assert.deepEqual(removed.body.keys.map(({ name, project, revokedAt }) => [name, project, revokedAt !== null]).sort(), [
    ['first', 'out', true],
    ['of theirs', 'out', true],
    ['theirs', 'out', true],
  ])
  for (const { key } of [first, theirs, grandchild]) await ends(key)
  assert.equal((await ask('GET', '/v1/me', as(others.key))).status, 200)

  const back = await ask('GET', '/v1/account', await org.named())
  assert.deepEqual([back.status, /no role/.test(back.body.detail ?? '')], [403, true])
  assert.equal((await ask('GET', '/v1/account', await org.unnamed())).status, 404)
  const { state, source, keys } = (await org.member()) ?? {}
  assert.deepEqual({ state, source, keys }, { state: 'ended', source: 'blocked', keys: 0 })
  const [deed] = await org.audited('member.remove')
  assert.deepEqual([deed?.objectId, deed?.details.was, deed?.details.blocked], [org.bob, 'admin', true])
  assert.deepEqual((await org.audited('key.revoke')).map(({ objectId }) => objectId).sort(), [first.id, theirs.id, grandchild.id].sort())

  const lifted = await ask<MemberView>('PUT', `/v1/account/members/${org.bob}`, await org.chief(), { role: 'viewer' })
  assert.deepEqual([lifted.status, lifted.body.source, lifted.body.state], [200, 'manual', 'active'])
  assert.equal((await me(await org.named())).role, 'viewer')
  assert.equal((await me(await org.unnamed())).role, 'viewer')
  assert.equal((await ask<RemovedMember>('DELETE', `/v1/account/members/${org.bob}`, await org.chief())).body.blocked, true)
  assert.equal((await ask('GET', '/v1/account', await org.named())).status, 403, 'who was let in by hand is out as well')
})

test('keys that others need stay when they who take somebody out say so, and can be ended later', async () => {
  const org = await organisation('org_keep')
  const { key } = await project(await org.named(), 'keep')
  const kept = await ask<RemovedMember>('DELETE', `/v1/account/members/${org.bob}?keys=keep`, await org.chief())
  assert.deepEqual([kept.body.blocked, kept.body.keys.map(({ revokedAt }) => revokedAt)], [true, [null]])
  assert.equal((await ask('GET', '/v1/me', as(key))).status, 200)
  assert.equal((await org.member())?.keys, 1)
  const ended = await ask<RemovedMember>('DELETE', `/v1/account/members/${org.bob}`, await org.chief())
  assert.equal(ended.body.keys.length, 1)
  await ends(key)
  assert.equal((await ask('DELETE', `/v1/account/members/${org.bob}?keys=maybe`, await org.chief())).status, 422)
})

test('who is out of the account is out of its projects; a role in one project ends alone, with the keys made there', async () => {
  const org = await organisation('org_projects')
  await project(await org.chief(), 'one')
  await project(await org.chief(), 'two')
  const eve = (await me(as(await people.token('eve')))).id
  for (const slug of ['one', 'two']) await ask('PUT', `/v1/projects/${slug}/members/${eve}`, await org.chief(), { role: 'developer' })
  const asEve = async () => as(await people.token('eve'), org.account)
  const [one, two] = [
    (await ask<NewKeyView>('POST', '/v1/projects/one/keys', await asEve(), { name: 'one' })).body,
    (await ask<NewKeyView>('POST', '/v1/projects/two/keys', await asEve(), { name: 'two' })).body,
  ]
  const left = await ask<RemovedMember>('DELETE', `/v1/projects/one/members/${eve}`, await org.chief())
  assert.deepEqual([left.body.blocked, left.body.keys.map(({ name }) => name)], [false, ['one']])
  await ends(one.key)
  assert.equal((await ask('GET', '/v1/me', as(two.key))).status, 200)
  const out = await ask<RemovedMember>('DELETE', `/v1/account/members/${eve}`, await org.chief())
  assert.deepEqual([out.status, out.body.blocked, out.body.keys.map(({ name }) => name)], [200, true, ['two']])
  await ends(two.key)
  assert.equal((await ask('GET', '/v1/projects/two', await asEve())).status, 404)
  const asMember = as(await people.token('eve', { id: 'org_projects', role: 'admin' }))
  assert.equal((await ask('GET', '/v1/account', asMember)).status, 403, 'nor does the provider, which had not named them before, bring them in')
  const stranger = (await me(as(await people.token('stranger')))).id
  assert.equal((await ask('DELETE', `/v1/account/members/${stranger}`, await org.chief())).status, 404)
  assert.equal((await ask('DELETE', '/v1/account/members/user_nobody', await org.chief())).status, 404)
})

test('who has a role in the account loses no keys with one in a project', async () => {
  const org = await organisation('org_both', 'developer')
  await project(await org.chief(), 'both')
  await ask('PUT', `/v1/projects/both/members/${org.bob}`, await org.chief(), { role: 'admin' })
  const { key } = (await ask<NewKeyView>('POST', '/v1/projects/both/keys', await org.named(), { name: 'theirs' })).body
  assert.deepEqual((await ask<RemovedMember>('DELETE', `/v1/projects/both/members/${org.bob}`, await org.chief())).body.keys, [])
  assert.equal((await ask('GET', '/v1/me', as(key))).status, 200)
})

test('a key that is being made while its maker is taken out does not outlive them', async () => {
  const org = await organisation('org_race')
  await project(await org.chief(), 'race')
  const made: string[] = []
  const named = await org.named()
  const making = Array.from({ length: 40 }, async (_, i) => {
    const answer = await ask<NewKeyView>('POST', '/v1/projects/race/keys', named, { name: `k${i}` })
    if (answer.status === 201) made.push(answer.body.key)
    else assert.ok([401, 403].includes(answer.status), `${answer.status} ${answer.body.detail}`)
  })
  const removed = await ask<RemovedMember>('DELETE', `/v1/account/members/${org.bob}`, await org.chief())
  await Promise.all(making)
  assert.equal(removed.status, 200)
  assert.equal((await org.member())?.keys, 0, `${made.length} were made`)
})

test('nobody makes a role of the provider their own for ever', async () => {
  const org = await organisation('org_self')
  const answer = await ask('PUT', `/v1/account/members/${org.bob}`, await org.named(), { role: 'admin' })
  assert.equal(answer.status, 409, answer.body.detail)
  assert.equal((await org.member())?.source, 'idp')
})

test('the last owner whose word counts cannot be taken out; one who left long ago can', async () => {
  const org = await organisation('org_owners', 'owner')
  await org.age(2)
  const chief = (await me(await org.chief())).id
  assert.equal((await ask('DELETE', `/v1/account/members/${chief}`, await org.chief())).status, 409)
  assert.equal((await ask('DELETE', `/v1/account/members/${org.bob}`, await org.chief())).status, 200)
})

test('a role of the provider that the table does not name gives nothing, and ends what another gave', async () => {
  const fresh = as(await people.token('carol', { id: 'org_unmapped', role: 'org:billing' }))
  assert.equal((await ask('GET', '/v1/me', fresh)).status, 403)
  const accounts = await gateway.admin.any(sql.unsafe`select 1 from accounts where external_id = 'org:org_unmapped'`)
  assert.equal(accounts.length, 0, 'nor is there an account by it')

  const org = await organisation('org_roles')
  const { key } = await project(await org.named('admin', 60), 'roles')
  assert.equal((await ask('GET', '/v1/account', await org.named(null))).status, 200, 'a token that says no role takes none')
  await org.age(2)
  assert.equal((await ask('GET', '/v1/account', await org.named(null))).status, 403, 'and gives none')
  await me(await org.named('admin', 60))
  assert.equal((await ask('GET', '/v1/account', await org.unnamed())).status, 200)
  const demoted = await ask('GET', '/v1/account', await org.named('org:billing'))
  assert.equal(demoted.status, 403, demoted.body.detail)
  assert.equal((await ask('GET', '/v1/account', await org.unnamed())).status, 404)
  assert.equal((await ask('GET', '/v1/account', await org.named('admin', 30))).status, 403, 'an older token does not bring it back')
  const { state, source, keys } = (await org.member()) ?? {}
  assert.deepEqual({ state, source, keys }, { state: 'ended', source: 'idp', keys: 1 })
  assert.deepEqual(
    (await org.audited('member.end')).map(({ objectId, details }) => [objectId, details.was]),
    [[org.bob, 'admin']],
  )
  assert.equal((await ask('GET', '/v1/me', as(key))).status, 200, 'keys are of the project: only its people end them')
  assert.equal((await ask('GET', '/v1/account', await org.named('viewer'))).status, 200, 'the provider gives a role again')
})
