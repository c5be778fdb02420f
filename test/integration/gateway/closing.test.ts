import assert from 'node:assert/strict'
import { after, before, type TestContext, test } from 'node:test'
import { createApiKey, ensureProject } from '#store/bootstrap.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { createFactory, type Factory } from '../../harness/factory.ts'
import { freePorts } from '../../harness/ports.ts'
import { startProcess, type TestProcess } from '../../harness/process.ts'
import { rawConnection } from '../../harness/raw-http.ts'

let database: TestDatabase
let admin: DatabasePool
let factory: Factory
let key: string
let url: string
before(async () => {
  database = await createTestDatabase()
  admin = await createDbPool(database.adminUrl, 2)
  factory = await createFactory(admin)
  key = await createApiKey(admin, await ensureProject(admin, 'default', 'default'), 'test')
})
after(async () => {
  await admin.end()
  await database.drop()
})

/** Ends with the test, also where that fails. */
async function start(t: TestContext): Promise<TestProcess> {
  const { RGRID_PORT_API: port } = await freePorts()
  url = `http://127.0.0.1:${port}`
  const gateway = startProcess('gateway', { RGRID_DATABASE_URL: database.gatewayUrl, RGRID_LISTEN: `127.0.0.1:${port}` })
  t.after(() => gateway.kill())
  await gateway.logged(/"started"/)
  return gateway
}

/** A connection that came while the last of them was let go may also be reset. */
const REFUSED = /ECONNREFUSED|ECONNRESET/
/** Those of before may still be taken up a moment before that. */
async function connectForEver(): Promise<never> {
  for (;;) (await rawConnection(url)).close()
}
const head = (line: string, ...headers: string[]) => `${[`${line} HTTP/1.1`, 'host: x', `authorization: Bearer ${key}`, ...headers].join('\r\n')}\r\n\r\n`
const follow = async (path: string) => {
  const follower = await rawConnection(url)
  follower.write(head(`GET ${path}`))
  await follower.received(/event: (ready|status)/)
  return follower
}

test('on SIGTERM followers are told when to come back and their streams end, what was begun is finished, and nothing else is taken', async (t) => {
  const gateway = await start(t)
  const job = await factory.job()
  const followers = await Promise.all([follow('/v1/events'), follow(`/v1/jobs/${job}/logs?follow=true`)])
  const idle = await rawConnection(url)
  idle.write(head('GET /v1/projects'))
  assert.equal((await idle.answer()).headers.connection, 'keep-alive')
  // A batch of which the first line has come, and the gateway waits for the rest.
  const begun = await rawConnection(url)
  const lines = ['{"template":{"runtime":"bash","command":["true"]}}\n', '{}\n{}\n']
  const length = Buffer.byteLength(lines.join(''))
  begun.write(head('POST /v1/projects/default/batches', 'content-type: application/x-ndjson', `content-length: ${length}`) + lines[0])
  // Answered behind the batch's head, so that has been taken up.
  assert.equal((await fetch(`${url}/healthz`)).status, 200)

  const ended = gateway.stop()
  for (const follower of followers) {
    const text = await follower.ended()
    assert.match(text, /: the gateway stops; connect again\nretry: \d{3,4}\n\n\r\n0\r\n\r\n$/)
  }
  await idle.ended()
  await assert.rejects(connectForEver, REFUSED)
  begun.write(lines[1] as string)
  const answer = await begun.answer()
  assert.equal(answer.status, 201, answer.body)
  assert.equal(JSON.parse(answer.body).size, 2)
  assert.equal(answer.headers.connection, 'close')
  await begun.ended()
  assert.equal(await ended, 0)
  assert.match(gateway.output(), /"stopped"/)
  assert.doesNotMatch(gateway.output(), /too long/)
})

test('a request whose head comes when the gateway stops already is refused, with Retry-After, and its connection closes', async (t) => {
  const gateway = await start(t)
  const late = await rawConnection(url)
  const text = head('GET /v1/projects')
  late.write(text.slice(0, 30))
  assert.equal((await fetch(`${url}/healthz`)).status, 200)
  const ended = gateway.stop()
  await gateway.logged(/"stopping"/)
  await assert.rejects(connectForEver, REFUSED)
  late.write(text.slice(30))
  const answer = await late.answer()
  assert.equal(answer.status, 503, answer.body)
  assert.equal(answer.headers.connection, 'close')
  assert.equal(answer.headers['retry-after'], '1')
  assert.equal(JSON.parse(answer.body).code, 'unavailable')
  await late.ended()
  assert.equal(await ended, 0)
})
