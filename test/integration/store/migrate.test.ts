import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { sql } from 'slonik'
import { knownMigrations, migrate, requireSchema, SchemaVersionError } from '#store/migrate.ts'
import { createDbPool } from '#store/pool.ts'
import { createEmptyDatabase, createTestDatabase } from '../../harness/database.ts'

const log = pino({ level: 'silent' })

test('three processes that migrate at once: one does it, the others wait', async () => {
  const database = await createEmptyDatabase()
  const done = await Promise.all([1, 2, 3].map(() => migrate(database.adminUrl, log)))
  assert.deepEqual(done.flat(), await knownMigrations())
  await database.drop()
})

test('a database of a newer version is refused, by the migration and by the services', async () => {
  const database = await createTestDatabase()
  const db = await createDbPool(database.adminUrl)
  const services = await createDbPool(database.gatewayUrl)
  await requireSchema(services)
  await db.query(sql.unsafe`insert into migrations (name, run_on) values ('9999_from_the_future', now())`)
  await assert.rejects(migrate(database.adminUrl, log), SchemaVersionError)
  await assert.rejects(requireSchema(services), /newer version of RGrid \(9999_from_the_future\)/)
  await services.end()
  await db.end()
  await database.drop()
})

test('a database that was not migrated yet is refused by the services, with what to do', async () => {
  const database = await createTestDatabase()
  const db = await createDbPool(database.adminUrl)
  await db.query(sql.unsafe`delete from migrations`)
  await assert.rejects(requireSchema(db), /prepare/)
  await db.end()
  await database.drop()
})

test('gateway and scheduler are no superusers, own nothing and cannot change the schema', async () => {
  const database = await createTestDatabase()
  for (const url of [database.gatewayUrl, database.schedulerUrl]) {
    const db = await createDbPool(url)
    await assert.rejects(db.query(sql.unsafe`create table mine (id int)`), /permission denied/)
    await assert.rejects(db.query(sql.unsafe`drop table jobs`), /must be owner/)
    await assert.rejects(db.query(sql.unsafe`delete from accounts`), /permission denied/)
    await assert.rejects(db.query(sql.unsafe`select pg_read_file('/etc/passwd')`), /permission denied/)
    await db.end()
  }
  const scheduler = await createDbPool(database.schedulerUrl)
  await assert.rejects(scheduler.query(sql.unsafe`select * from api_keys`), /permission denied/)
  await scheduler.end()
  await database.drop()
})
