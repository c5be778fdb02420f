import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { startGateway, TEST_BULK, type TestGateway } from '../../harness/gateway.ts'

// A disk of its own, of three megabytes.
const DISK_BYTES = 3 * 2 ** 20
const disk = mkdtempSync(join(tmpdir(), 'rgrid-full-'))
let gateway: TestGateway
before(async () => {
  execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${DISK_BYTES}`, 'rgrid-test', disk])
  gateway = await startGateway({ bulk: { ...TEST_BULK, spoolDir: disk } })
})
after(async () => {
  await gateway.stop()
  execFileSync('umount', [disk])
  rmSync(disk, { recursive: true })
})

const HEAD = '{"template":{"runtime":"bash","command":["true"]}}\n'
const send = (payload: string) =>
  gateway.app.inject({
    method: 'POST',
    url: '/v1/projects/default/batches',
    payload,
    headers: { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/x-ndjson' },
  })
// Of a length that no buffer and no page is a multiple of, so that the last write before the end of the disk is a short one.
const lines = (bytes: number) => `${JSON.stringify({ args: ['x'.repeat(997)] })}\n`.repeat(Math.ceil(bytes / 1012))

test('a batch for which the disk has no room is refused with 503 and Retry-After, stores nothing, and leaves nothing', async () => {
  const refused = await send(HEAD + lines(2 * DISK_BYTES))
  assert.equal(refused.statusCode, 503, refused.body)
  assert.equal(refused.json().code, 'unavailable')
  assert.match(String(refused.headers['retry-after']), /^\d+$/)
  assert.equal((await gateway.call('GET', '/v1/projects/default/jobs?limit=1')).json().items.length, 0)
  const fits = await send(HEAD + lines(DISK_BYTES / 2))
  assert.equal(fits.statusCode, 201, fits.body)
  assert.equal(fits.json().size, Math.ceil(DISK_BYTES / 2 / 1012))
})
