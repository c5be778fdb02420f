import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import { validateJob } from '#core/job/validate.ts'
import { RUNTIMES } from '#core/runtimes.ts'
import { createApiKey } from '#store/bootstrap.ts'
import { prepareJob, storeJobsAlone } from '#store/new-jobs.ts'
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

/** Tables whose rows an account sees of others too: itself, and the limits of all. */
const SEEN_BY_ALL: Readonly<Record<string, number>> = { accounts: 1, limits: 1 }
/** Tables that only operators see. */
const OPERATORS_ONLY = ['node_hours', 'pending_objects']
/** What the gateway may read of a table that it may not read whole. */
const READABLE: Readonly<Record<string, string>> = { secrets: 'id', webhook_secrets: 'id' }

test('a statement without any WHERE shows an account its own rows only, and nobody’s without an account', async () => {
  await fillTheRest()
  const closed = (await tables()).filter((table) => !SHARED.includes(table) && !OPERATORS_ONLY.includes(table))
  assert.ok(closed.length >= 20)
  const rows = (db: Pick<DatabasePool, 'oneFirst'>, table: string) =>
    db.oneFirst(sql.type(CountRow)`select count(${sql.identifier([READABLE[table] ?? 'account_id'])})::int as count from ${sql.identifier([table])}`)
  for (const table of closed) {
    const whole = READABLE[table] === undefined ? count : rows
    const all = await whole(admin, table)
    assert.ok(all > 0, `${table} is empty: nothing would be shown by it`)
    const foreign = SEEN_BY_ALL[table] ?? 0
    assert.equal(await whole(accountDb(gateway, make.accountId), table), table === 'accounts' ? 1 : all, table)
    assert.equal(await whole(accountDb(gateway, stranger), table), foreign, `${table} for a stranger`)
    assert.equal(await whole(gateway, table), table === 'limits' ? 1 : 0, `${table} for nobody`)
    assert.equal(await whole(operatorDb(gateway), table), all, `${table} for operators`)
  }
  for (const table of OPERATORS_ONLY) {
    assert.equal(await count(accountDb(gateway, make.accountId), table), 0, table)
    assert.ok((await count(operatorDb(gateway), table)) > 0, table)
  }
})

/** A row in each table that the factory leaves empty. */
async function fillTheRest(): Promise<void> {
  const { accountId, projectId } = make
  const webhook = newId('webhook')
  const user = newId('user')
  for (const statement of [
    sql.unsafe`insert into files (id, account_id, project_id, sha256, size_bytes, key, state) values (${newId('file')}, ${accountId}, ${projectId}, ${'a'.repeat(64)}, 1, 'k', 'ready')`,
    sql.unsafe`insert into webhook_endpoints (id, account_id, project_id, kind, events) values (${webhook}, ${accountId}, ${projectId}, 'jobs', '{}')`,
    sql.unsafe`insert into webhook_secrets (endpoint_id, secret) values (${webhook}, 'x')`,
    sql.unsafe`insert into webhook_deliveries (endpoint_id, account_id, project_id, subject, type, data) values (${webhook}, ${accountId}, ${projectId}, 's', 'webhook.ping', '{}')`,
    sql.unsafe`insert into webhook_tries (delivery_id, number, at, duration_ms) select id, 1, now(), 1 from webhook_deliveries`,
    sql.unsafe`insert into users (id, issuer, subject) values (${user}, 'https://issuer.test', 'x')`,
    sql.unsafe`insert into memberships (account_id, user_id, role) values (${accountId}, ${user}, 'owner')`,
    sql.unsafe`insert into audit_log (account_id, actor_kind, actor_id, actor_name, action) values (${accountId}, 'key', 'key_x', 'x', 'test')`,
    sql.unsafe`insert into secrets (id, account_id, project_id, name, kind, sealed) values (${newId('secret')}, ${accountId}, ${projectId}, 'S', 'value', 'x')`,
    sql.unsafe`insert into limits (id, account_id) values (${accountId}, ${accountId})`,
    sql.unsafe`insert into usage_totals (project_id, month, account_id) values (${projectId}, '2026-01-01', ${accountId}) on conflict do nothing`,
    sql.unsafe`insert into usage_entries (account_id, project_id, month) values (${accountId}, ${projectId}, '2026-01-01')`,
    sql.unsafe`insert into idempotency_keys (account_id, scope, key, request_hash) values (${accountId}, ${projectId}, 'k', '\\x00')`,
    sql.unsafe`insert into pending_objects (key, attempt_id, delete_at, expires_at) values ('artifacts/x', 'att_x', now(), now())`,
    sql.unsafe`insert into node_hours (node_id, hour, from_at, until_at, day, hour_microns, paid_microns, idle_microns) values ('node_x', 0, now(), now(), now(), 1, 1, 1)`,
    sql.unsafe`insert into attempt_costs (node_id, hour, day, account_id, project_id, labels, attempts, slot_ms, cost_microns, charge_microns) values ('node_x', 0, now(), ${accountId}, ${projectId}, '{}', 1, 1, 1, 1)`,
    sql.unsafe`insert into spending_marks (owner_id, month, percent, account_id) values (${projectId}, '2026-01-01', 50, ${accountId})`,
  ])
    await admin.query(statement)
}

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

test('a job that is stored in one statement alone is of its own account only, and the account is set for that statement', async () => {
  const single = await createDbPool(database.gatewayUrl, 1)
  const { accountId, projectId } = make
  const job = () => prepareJob(validateJob({ spec: { runtime: 'bash', command: ['true'] } }, RUNTIMES), { slotHourMicrons: 0, trace: null })
  const actor = { actorKind: 'key', actorId: 'key_x', actorName: 'x', ip: '::1', requestId: 'r' } as const
  const deedOf = (objectId: string, of = accountId) => ({ ...actor, accountId: of, projectId, action: 'job.submit', objectId, details: {} })
  const own = job()
  await storeJobsAlone(accountDb(single, accountId), make, [own], [deedOf(own.id)])
  assert.equal((await make.jobState(own.id)).state, 'queued')
  assert.equal(await count(single, 'jobs'), 0)
  const foreign = job()
  await assert.rejects(storeJobsAlone(accountDb(single, stranger), make, [foreign], []), /row-level security/)
  await assert.rejects(storeJobsAlone(accountDb(single, accountId), make, [foreign], [deedOf(foreign.id, stranger)]), /row-level security/)
  assert.equal(await accountDb(single, accountId).alone((db) => count(db, 'jobs')), 0)
  assert.equal(await admin.exists(sql.unsafe`select 1 from jobs where id = ${foreign.id}`), false)
  await single.end()
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
  for (const name of ['gateway', 'scheduler'] as const) {
    const pool = name === 'gateway' ? gateway : await createDbPool(database.schedulerUrl, 1)
    const db = name === 'gateway' ? accountDb(gateway, make.accountId) : pool
    for (const statement of [
      sql.unsafe`update audit_log set action = 'else'`,
      sql.unsafe`delete from audit_log`,
      sql.unsafe`truncate audit_log`,
      sql.unsafe`insert into audit_log (account_id, actor_kind, actor_id, actor_name, action, at) values (${make.accountId}, 'key', 'key_x', 'x', 'test', '2000-01-01')`,
      sql.unsafe`alter table audit_log disable trigger append_only`,
      sql.unsafe`drop trigger append_only on audit_log`,
    ])
      await assert.rejects(db.query(statement), /permission denied|must be owner/, name)
    if (pool !== gateway) await pool.end()
  }
  const foreign = sql.unsafe`insert into audit_log (account_id, actor_kind, actor_id, actor_name, action) values (${stranger}, 'key', 'key_x', 'x', 'test')`
  await assert.rejects(accountDb(gateway, make.accountId).query(foreign), /row-level security/)
  assert.ok((await tables()).includes('audit_log'))
})

const FunctionRow = row(
  Type.Object({ name: Type.String(), config: Type.Union([Type.Array(Type.String()), Type.Null()]), everybody: Type.Boolean(), gateway: Type.Boolean() }),
)

test('what runs with the rights of the owner looks nowhere else for tables, and the gateway can call the doors and nothing else of it', async () => {
  const functions = await admin.any(sql.type(FunctionRow)`
    select proname::text as name, proconfig as config, has_function_privilege('public', oid, 'execute') as everybody, has_function_privilege('rgrid_gateway', oid, 'execute') as gateway
    from pg_proc where pronamespace = 'public'::regnamespace and prosecdef order by 1`)
  for (const { name, config, everybody } of functions) assert.deepEqual([config, everybody], [['search_path=public, pg_temp'], false], name)
  assert.deepEqual(
    functions.filter((one) => one.gateway).map(({ name }) => name),
    ['rgrid_find_key', 'rgrid_memberships', 'rgrid_node_use', 'rgrid_sign_in', 'rgrid_touch_key'],
  )
})

test('the gateway cannot hang a trigger of ours on a table of its own, and so write the usage of others', async () => {
  const alone = await createDbPool(database.gatewayUrl, 1)
  try {
    await alone.query(
      sql.unsafe`create temporary table mine (account_id text, project_id text, finished_at timestamptz, created_at timestamptz, reserved_microns bigint)`,
    )
    const hang = sql.unsafe`create trigger t after insert on mine referencing new table as added for each statement execute function rgrid_jobs_added()`
    await assert.rejects(alone.query(hang), /permission denied for function/)
  } finally {
    await alone.end()
  }
})
