import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { after, before, test } from 'node:test'
import { pino } from 'pino'
import { sql } from 'slonik'
import { createLeader } from '#store/lock.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'

const KEY = 4711
let database: TestDatabase
let admin: DatabasePool

before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl, 2)
})
after(async () => {
  await admin.end()
  await database.drop()
})

/** A candidate whose log lines the test can wait for. */
function candidate() {
  const waiting: { text: string; heard(): void }[] = []
  const hear = (line: string) => {
    for (const { text, heard } of waiting) if (line.includes(text)) heard()
  }
  const log = pino({ level: 'info' }, { write: hear })
  const says = (text: string) => new Promise<void>((resolve) => waiting.push({ text, heard: resolve }))
  return { leader: createLeader({ url: database.schedulerUrl, key: KEY, log, everyMs: 50 }), says }
}

test('one of two leads; when its session ends the other takes over, and it leads no more', async () => {
  const [a, b] = [candidate(), candidate()]
  const leads = a.says('is the leader now')
  await a.leader.start()
  await leads
  await b.leader.start()
  assert.deepEqual([a.leader.isLeader(), b.leader.isLeader()], [true, false])
  const taken = b.says('is the leader now')
  // As the death of its process, or of its connection, ends it. It is one of two candidates from then on.
  await a.leader.stop()
  await taken
  assert.deepEqual([a.leader.isLeader(), b.leader.isLeader()], [false, true])
  const brokenB = b.says('leadership lost')
  await admin.query(sql.unsafe`select pg_terminate_backend(l.pid) from pg_locks l where l.locktype = 'advisory' and l.objid = ${KEY}`)
  await brokenB
  assert.equal(b.leader.isLeader(), false)
  await b.leader.stop()
})

test('a leader that stands still is none any more: Postgres ends its session, and another takes over', async () => {
  // A process of its own, as only that can stand still.
  const script = `
    import { createLeader } from '#store/lock.ts'
    import { pino } from 'pino'
    const leader = createLeader({ url: process.env.URL, key: ${KEY}, log: pino(), everyMs: 50 })
    await leader.start()`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    env: { ...process.env, URL: database.schedulerUrl },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    for await (const line of child.stdout.setEncoding('utf8')) if (String(line).includes('is the leader now')) break
    const b = candidate()
    const taken = b.says('is the leader now')
    await b.leader.start()
    assert.equal(b.leader.isLeader(), false)
    child.kill('SIGSTOP')
    await taken
    await b.leader.stop()
  } finally {
    child.kill('SIGKILL')
  }
})
