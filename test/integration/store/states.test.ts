import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql } from 'slonik'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'

let database: TestDatabase
let db: DatabasePool
let make: Factory

before(async () => {
  database = await createTestDatabase()
  db = await createDbPool(database.adminUrl)
  make = await createFactory(db)
})
after(async () => {
  await db.end()
  await database.drop()
})

for (const [what, change] of [
  ['a final job without its time', sql.fragment`state = 'failed', cause = 'exit', reason = null`],
  ['a final job without a cause', sql.fragment`state = 'failed', finished_at = now(), reason = null`],
  ['a queued job with a finish time', sql.fragment`finished_at = now()`],
  ['a waiting job without a reason', sql.fragment`reason = null`],
  ['a held job without a hold', sql.fragment`state = 'held'`],
  ['a hold on a job that is not held', sql.fragment`hold = 'batch'`],
  ['a backoff without a time', sql.fragment`state = 'held', hold = 'backoff'`],
  ['a running job without an attempt', sql.fragment`state = 'running'`],
  ['a state there is not', sql.fragment`state = 'paused'`],
] as const) {
  test(`Postgres itself refuses ${what}`, async () => {
    const id = await make.job()
    await assert.rejects(db.query(sql.unsafe`update jobs set ${change} where id = ${id}`), /check constraint|violates/i)
  })
}
