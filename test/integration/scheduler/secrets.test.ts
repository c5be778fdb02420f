import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import type { Spec } from '#core/job/spec.ts'
import { createSealer, newSecretKey, type Sealer } from '#core/sealer.ts'
import { createLog } from '#core/service/log.ts'
import { answerContext } from '#store/idempotency.ts'
import { createObjects } from '#store/objects.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { secretContext } from '#store/project-secrets.ts'
import { resealAll } from '#store/reseal.ts'
import { row } from '#store/row.ts'
import { webhookSecretContext } from '#store/webhooks.ts'
import { buildAssignments, fitReply } from '../../../scheduler/assignments.ts'
import { type Attempts, createAttempts } from '../../harness/attempts.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'
import { TEST_SECRET_KEYS, testSealer } from '../../harness/secret-keys.ts'
import { testServices } from '../../harness/services.ts'

let database: TestDatabase
let admin: DatabasePool
let db: DatabasePool
let factory: Factory
let attempts: Attempts
const logged: string[] = []
const log = createLog('scheduler', 'debug', { write: (line: string) => void logged.push(line) } as never)
const objects = createObjects({ ...testServices().s3, presignUrl: testServices().s3.url })

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl, 2)
  db = await createDbPool(database.schedulerUrl, 2)
  factory = await createFactory(admin)
  attempts = await createAttempts(database.schedulerUrl, factory)
})
beforeEach(async () => {
  await admin.query(sql.unsafe`delete from secrets`)
})
after(async () => {
  await Promise.all([admin.end(), db.end(), attempts.close()])
  objects.close()
  await database.drop()
})

async function keep(name: string, text: string, change: { server?: string; sealer?: Sealer; as?: string } = {}): Promise<void> {
  const sealed = (change.sealer ?? testSealer).seal(text, secretContext(factory, change.as ?? name))
  await admin.query(sql.unsafe`
    insert into secrets (id, account_id, project_id, name, kind, registry_server, sealed)
    values (${newId('secret')}, ${factory.accountId}, ${factory.projectId}, ${name}, ${change.server ? 'registry' : 'value'}, ${change.server ?? null}, ${sealed})`)
}

/** What a node is sent of a job with this spec. */
async function sent(spec: Partial<Spec>) {
  const job = await attempts.assign(await factory.job({ spec }))
  const [assignment] = await buildAssignments({ db, objects, sealer: testSealer, log, urlSeconds: 60 }, [job])
  await attempts.finish(job)
  assert.ok(assignment?.secrets)
  return { ...assignment, secrets: assignment.secrets }
}

test('a claimed job gets the values that it asks for, and the credentials of the registry of its image and of no other', async () => {
  await keep('TOKEN', 'the value')
  await keep('OTHER', 'not asked for')
  await keep('hub', JSON.stringify({ username: 'u', password: 'p' }), { server: 'docker.io' })
  await keep('ghcr', JSON.stringify({ username: 'x', password: 'y' }), { server: 'ghcr.io' })
  const job = await sent({ runtime: 'acme/tool:1', command: ['x'], env: { A: { secret: 'TOKEN' }, B: 'b' } })
  assert.deepEqual(job.secrets, { env: { A: 'the value' }, registry: { server: 'docker.io', username: 'u', password: 'p' }, fault: null })
  assert.deepEqual([job.spec.env, job.spec.secretEnv], [{ B: 'b' }, { A: 'TOKEN' }])
  const used = await admin.anyFirst(sql.type(row(Type.Object({ name: Type.String() })))`select name from secrets where last_used_at is not null order by name`)
  assert.deepEqual(used, ['TOKEN', 'hub'])
  assert.deepEqual((await sent({ runtime: 'quay.io/acme/tool:1', command: ['x'] })).secrets, { env: {}, registry: null, fault: null })
})

test('a secret that has gone, one of the other kind, and more than fit are faults of the job that name the variable', async () => {
  const env = { A: { secret: 'GONE' } }
  assert.match((await sent({ env })).secrets.fault?.message ?? '', /^env\.A: the project has no secret GONE/)
  await keep('GONE', '{}', { server: 'ghcr.io' })
  assert.deepEqual((await sent({ env })).secrets.fault?.transient, false)
  const names = ['L1', 'L2', 'L3', 'L4', 'L5']
  for (const name of names) await keep(name, 'x'.repeat(65_536))
  const large = await sent({ env: Object.fromEntries(names.map((name) => [name, { secret: name }])) })
  assert.match(large.secrets.fault?.message ?? '', /together; at most 262144 fit/)
  assert.deepEqual(large.secrets.env, {})
})

test('what does not open is said to the operator, not to the job, and may pass', async () => {
  await keep('MOVED', 'of another place', { as: 'ELSEWHERE' })
  await keep('FOREIGN', 'of another key', { sealer: createSealer(newSecretKey('unknown')) })
  for (const [name, why] of [
    ['MOVED', /another place/],
    ['FOREIGN', /the key \\"unknown\\"/],
  ] as const) {
    const { secrets } = await sent({ env: { A: { secret: name } } })
    assert.deepEqual([secrets.env, secrets.fault?.transient], [{}, true])
    assert.match(secrets.fault?.message ?? '', /whoever runs this installation/)
    assert.match(logged.at(-1) ?? '', why)
    assert.ok(!/of another (key|place)"/.test(logged.join('')))
  }
})

test('a reply holds what one message of the bus holds; what could never arrive fails instead', async () => {
  const whole = await sent({ env: { A: 'a'.repeat(1000) } })
  assert.equal(fitReply([whole, whole, whole], 4500).length, 2)
  const [cut] = fitReply([whole], 1500)
  assert.match(cut?.secrets?.fault?.message ?? '', /at most 1500 fit/)
  assert.ok(JSON.stringify(cut).length < 1500, `${JSON.stringify(cut).length}`)
  assert.equal(cut?.leaseToken, whole.leaseToken)
})

test('everything sealed is sealed anew with the first key, and the old one can go', async () => {
  const old = testSealer
  const fresh = newSecretKey('fresh')
  for (let i = 0; i < 450; i++) await keep(`R${i}`, `value ${i}`)
  await keep('LOST', 'x', { sealer: createSealer(newSecretKey('lost')) })
  const endpoint = newId('webhook')
  await admin.query(
    sql.unsafe`insert into webhook_endpoints (id, account_id, project_id, kind, events) values (${endpoint}, ${factory.accountId}, ${factory.projectId}, 'jobs', '{}')`,
  )
  await admin.query(sql.unsafe`insert into webhook_secrets (endpoint_id, secret) values (${endpoint}, ${old.seal('whsec_x', webhookSecretContext(endpoint))})`)
  const name = { accountId: factory.accountId, scope: factory.projectId, key: 'k' }
  await admin.query(sql.unsafe`
    insert into idempotency_keys (account_id, scope, key, request_hash, status, answer)
    values (${name.accountId}, ${name.scope}, ${name.key}, '\\x00', 201, ${old.seal('{}', answerContext(name))})`)
  const both = createSealer(`${fresh},${TEST_SECRET_KEYS}`)
  assert.deepEqual(await resealAll(admin, both), { resealed: 452, unopened: [`secrets ${factory.accountId}/${factory.projectId}/LOST`] })
  assert.equal((await resealAll(admin, both)).resealed, 0, 'a second time there is nothing to do')
  const only = createSealer(fresh)
  const texts = (
    await admin.any(sql.type(row(Type.Object({ name: Type.String(), sealed: Type.String() })))`select name, sealed from secrets where name <> 'LOST'`)
  ).map((secret) => [secret.name, only.open(secret.sealed, secretContext(factory, secret.name))])
  assert.deepEqual(new Map(texts as [string, string][]), new Map(Array.from({ length: 450 }, (_, i) => [`R${i}`, `value ${i}`])))
  const Text = row(Type.Object({ text: Type.String() }))
  assert.equal(only.open(await admin.oneFirst(sql.type(Text)`select secret as text from webhook_secrets`), webhookSecretContext(endpoint)), 'whsec_x')
  assert.equal(only.open(await admin.oneFirst(sql.type(Text)`select answer as text from idempotency_keys`), answerContext(name)), '{}')
})
