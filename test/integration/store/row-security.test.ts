import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import { createApiKey } from '#store/bootstrap.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { row } from '#store/row.ts'
import { accountDb, operatorDb } from '#store/tenant.ts'
import { type Attempts, createAttempts } from '../../harness/attempts.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'

const TenantRow = row(Type.Object({ name: Type.String() }))
const CountRow = row(Type.Object({ count: Type.Number() }))
/** Tables that hold nothing of tenants, or that the gateway cannot read. */
const SHARED = ['account_turns', 'cells', 'claim_clock', 'enrolment_tokens', 'migrations', 'nodes', 'outbox', 'prices', 'scaling']

let database: TestDatabase
let admin: DatabasePool
let gateway: DatabasePool
let make: Factory
let attempts: Attempts
const stranger = newId('account')

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl, 2)
  gateway = await createDbPool(database.gatewayUrl, 2)
  make = await createFactory(admin)
  attempts = await createAttempts(database.schedulerUrl, make)
  await createApiKey(admin, make.projectId, 'a key')
  const job = await attempts.assign(await make.job())
  const artifacts = [{ path: 'a', sizeBytes: 1, sha256: 'a'.repeat(64), executable: false }]
  await attempts.finish(job, { artifacts })
  await make.batch({ size: 1 })
  await admin.query(sql.unsafe`insert into accounts (id, name) values (${stranger}, 'stranger')`)
})
after(async () => {
  await Promise.all([attempts.close(), gateway.end(), admin.end()])
  await database.drop()
})

const tables = () =>
  admin.anyFirst(sql.type(TenantRow)`select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')`)
const count = (db: Pick<DatabasePool, 'oneFirst'>, table: string) =>
  db.oneFirst(sql.type(CountRow)`select count(*)::int as count from ${sql.identifier([table])}`)

test('each table that holds something of tenants has row level security for the gateway', async () => {
  const open = await admin.anyFirst(sql.type(TenantRow)`
    select relname as name from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relrowsecurity order by 1`)
  assert.deepEqual([...open], SHARED)
})

test('a statement without any WHERE shows an account its own rows only, and nobody’s without an account', async () => {
  for (const table of ['projects', 'jobs', 'attempts', 'artifacts', 'batches', 'events', 'accounts']) {
    const all = await count(admin, table)
    assert.ok(all > 0, table)
    const own = await count(accountDb(gateway, make.accountId), table)
    assert.equal(own, table === 'accounts' ? 1 : all, table)
    assert.equal(await count(accountDb(gateway, stranger), table), table === 'accounts' ? 1 : 0, `${table} for a stranger`)
    assert.equal(await count(gateway, table), 0, `${table} for nobody`)
    assert.equal(await count(operatorDb(gateway), table), all, `${table} for operators`)
  }
})

test('no statement of one account changes or takes a row of another, nor leaves one with it', async () => {
  const db = accountDb(gateway, stranger)
  const jobId = await make.job()
  assert.equal((await db.query(sql.unsafe`update jobs set reason = 'mine now'`)).rowCount, 0)
  assert.equal((await db.query(sql.unsafe`delete from files`)).rowCount, 0)
  assert.equal((await db.query(sql.unsafe`update api_keys set revoked_at = now()`)).rowCount, 0)
  assert.equal((await db.query(sql.unsafe`update projects set name = 'mine'`)).rowCount, 0)
  assert.notEqual((await make.jobState(jobId)).reason, 'mine now')
  const foreign = sql.unsafe`insert into batches (id, account_id, project_id, size) values (${newId('batch')}, ${make.accountId}, ${make.projectId}, 1)`
  await assert.rejects(db.query(foreign), /row-level security/)
})

test('the account is set for one transaction: whoever gets the connection next sees nothing of it', async () => {
  const alone = await createDbPool(database.gatewayUrl, 1)
  assert.equal(await count(accountDb(alone, make.accountId), 'projects'), 1)
  assert.equal(await count(alone, 'projects'), 0)
  await assert.rejects(accountDb(alone, make.accountId).query(sql.unsafe`select 1/0`), /division by zero/)
  assert.equal(await count(alone, 'projects'), 0)
  await alone.end()
})

test('what is no account is not tried', () => {
  for (const id of ['*', '', "acc_x' or true", 'proj_1']) assert.throws(() => accountDb(gateway, id), /is no account/)
})

test('the gateway’s role cannot switch row level security off, nor read a key’s hash past it', async () => {
  await assert.rejects(gateway.query(sql.unsafe`alter table jobs disable row level security`), /must be owner/)
  await assert.rejects(gateway.query(sql.unsafe`set role postgres`), /permission denied/)
  assert.equal(await count(gateway, 'api_keys'), 0)
})

test('what was done cannot be changed or taken away, by nobody', async () => {
  await admin.query(
    sql.unsafe`insert into audit_log (account_id, actor_kind, actor_id, actor_name, action) values (${make.accountId}, 'key', 'key_x', 'x', 'test')`,
  )
  for (const statement of [sql.unsafe`update audit_log set action = 'else'`, sql.unsafe`delete from audit_log`, sql.unsafe`truncate audit_log`])
    await assert.rejects(admin.query(statement), /append-only/)
  await assert.rejects(accountDb(gateway, make.accountId).query(sql.unsafe`delete from audit_log`), /permission denied/)
  assert.ok((await tables()).includes('audit_log'))
})
