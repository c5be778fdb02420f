import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { withDeadline } from '#core/service/time.ts'
import { createObjects } from '#store/objects.ts'
import { row } from '#store/row.ts'
import { type Cable, startCable } from '../../harness/cable.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { testServices } from '../../harness/services.ts'

let gateway: TestGateway
let cable: Cable
let close: () => void
before(async () => {
  const { s3 } = testServices()
  cable = await startCable(s3.url)
  const objects = createObjects({ ...s3, url: cable.through(s3.url), presignUrl: s3.url })
  close = () => objects.close()
  gateway = await startGateway({ objects })
})
after(async () => {
  await gateway.stop()
  close()
  await cable.close()
})

const announce = (bytes: Buffer) =>
  gateway.call('POST', '/v1/projects/default/files', { sha256: createHash('sha256').update(bytes).digest('hex'), sizeBytes: bytes.length })
const OpenRow = row(Type.Object({ open: Type.Number() }))

test('while the object store says nothing no transaction waits for it: files are refused within seconds, submits go on', async () => {
  const known = randomBytes(100)
  const { upload } = (await announce(known)).json()
  assert.equal((await fetch(upload.url, { method: 'PUT', headers: upload.headers, body: known })).status, 200)
  cable.hush()
  const waiting = Promise.all(Array.from({ length: 12 }, () => announce(known)))
  const job = { spec: { runtime: 'bash', command: ['true'] } }
  for (let i = 0; i < 5; i++) assert.equal((await gateway.call('POST', '/v1/projects/default/jobs', job)).statusCode, 201)
  const open = await gateway.admin.oneFirst(sql.type(OpenRow)`
    select count(*)::int as open from pg_stat_activity where datname = current_database() and state like 'idle in transaction%'`)
  assert.equal(open, 0)
  for (const answer of await withDeadline('the refusals', 10_000, () => waiting)) {
    assert.equal(answer.statusCode, 503, answer.body)
    assert.match(String(answer.headers['retry-after']), /^\d+$/)
  }
  // Of a file that is new there is nothing to ask the object store.
  assert.equal((await announce(randomBytes(100))).statusCode, 201)
  cable.mend()
  const ready = await announce(known)
  assert.deepEqual([ready.statusCode, ready.json().state], [200, 'ready'])
})

test('a call of the object store that has no other deadline is given up within seconds too', async () => {
  const { s3 } = testServices()
  const objects = createObjects({ ...s3, url: cable.through(s3.url), presignUrl: s3.url }, { connectMs: 200, answerMs: 200 })
  cable.hush()
  try {
    await assert.rejects(
      withDeadline('the client', 20_000, () => objects.size('files/none')),
      { name: 'TimeoutError' },
    )
  } finally {
    cable.mend()
    objects.close()
  }
})
