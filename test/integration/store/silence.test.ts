import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { isAway } from '#core/service/away.ts'
import { createDbPool } from '#store/pool.ts'
import { row } from '#store/row.ts'
import { startCable } from '../../harness/cable.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'

let database: TestDatabase
before(async () => {
  database = await createTestDatabase()
})
after(() => database.drop())

async function open(t: TestContext) {
  const cable = await startCable(database.adminUrl)
  const db = await createDbPool(cable.through(database.adminUrl), 2)
  t.after(async () => {
    await db.end()
    await cable.close()
  })
  return { cable, db }
}

const isSilence = (error: unknown) => {
  assert.ok(isAway(error), String(error))
  return true
}

test('a statement that takes long goes on as long as the server answers', async (t) => {
  const { db } = await open(t)
  const Slept = row(Type.Object({ done: Type.Literal(1) }))
  assert.equal(await db.oneFirst(sql.type(Slept)`select 1 as done from pg_sleep(4)`), 1)
})

test('a transaction fails when the server falls silent within it, and nothing of it is kept', async (t) => {
  const { cable, db } = await open(t)
  const startedMs = performance.now()
  await assert.rejects(
    db.transaction(async (tx) => {
      await tx.query(sql.unsafe`insert into accounts (id, name) values ('acc_x', 'x')`)
      cable.hush()
      await tx.query(sql.unsafe`select 1`)
    }),
    isSilence,
  )
  // Without the watch it would be many minutes.
  assert.ok(performance.now() - startedMs < 30_000)
  cable.mend()
  assert.equal(await db.exists(sql.unsafe`select 1 from accounts where id = 'acc_x'`), false)
})

test('a commit that is not answered is no success', async (t) => {
  const { cable, db } = await open(t)
  await assert.rejects(
    db.transaction(async (tx) => {
      await tx.query(sql.unsafe`select 1`)
      cable.hush()
    }),
    isSilence,
  )
})

test('a pool whose server is silent can be closed', async () => {
  const cable = await startCable(database.adminUrl)
  const db = await createDbPool(cable.through(database.adminUrl), 2)
  await db.query(sql.unsafe`select 1`)
  cable.hush()
  const pending = db.query(sql.unsafe`select 1`)
  await assert.rejects(Promise.all([pending, db.end()]))
  await db.end()
  await cable.close()
})
