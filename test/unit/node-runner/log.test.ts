import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import fc from 'fast-check'
import type { LogMessage } from '#bus/messages/log.ts'
import { createLogSink } from '../../../node-runner/log/sink.ts'
import { incompleteTail } from '../../../node-runner/log/utf8.ts'

const dir = mkdtempSync(join(tmpdir(), 'rgrid-log-'))
after(() => rmSync(dir, { recursive: true }))

async function written(maxBytes: number, pieces: readonly (readonly ['stdout' | 'stderr', Buffer])[]): Promise<LogMessage[]> {
  const path = join(dir, `${Math.random()}.ndjson`)
  const sink = await createLogSink(path, maxBytes, () => undefined)
  for (const [stream, data] of pieces) await sink.write(stream, data)
  await sink.end()
  await sink.close()
  return readFileSync(path, 'utf8')
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as LogMessage)
}

function bytesOf(messages: readonly LogMessage[], stream: string): Buffer {
  const chunks = messages.flatMap((message) => message.chunks).filter((chunk) => chunk.stream === stream)
  return Buffer.concat(chunks.map((chunk) => (chunk.base64 === undefined ? Buffer.from(chunk.text ?? '') : Buffer.from(chunk.base64, 'base64'))))
}

test('every byte comes back, whatever was written and however it was cut', async () => {
  const piece = fc.tuple(
    fc.constantFrom('stdout' as const, 'stderr' as const),
    fc.oneof(
      fc.string().map((text) => Buffer.from(text)),
      fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
    ),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(piece, { maxLength: 15 }), async (pieces) => {
      const messages = await written(1e9, pieces)
      for (const stream of ['stdout', 'stderr'])
        assert.ok(bytesOf(messages, stream).equals(Buffer.concat(pieces.filter(([name]) => name === stream).map(([, data]) => data))))
      assert.deepEqual(
        messages.map((message) => message.seq),
        messages.map((_, index) => index + 1),
      )
      assert.equal(messages.at(-1)?.end, true)
    }),
    { numRuns: 40 },
  )
})

test('a character that is cut in two stays text', async () => {
  const bytes = Buffer.from('añ€😀')
  const messages = await written(
    1e9,
    [...bytes].map((byte) => ['stdout', Buffer.from([byte])] as const),
  )
  assert.ok(messages.flatMap((message) => message.chunks).every((chunk) => chunk.text !== undefined))
})

test('more than the limit is dropped with one notice', async () => {
  const messages = await written(
    1000,
    Array.from({ length: 50 }, () => ['stdout', Buffer.alloc(100, 'x')] as const),
  )
  assert.equal(bytesOf(messages, 'stdout').length, 1000)
  assert.match(bytesOf(messages, 'system').toString(), /the log is cut here: it is longer than 1000 B; the job goes on/)
})

for (const [bytes, expected] of [
  ['61', 0],
  ['c3', 1],
  ['c3b1', 0],
  ['e282', 2],
  ['e2', 1],
  ['f09f98', 3],
  ['f09f9880', 0],
  ['80808080', 0],
  ['ff', 0],
] as const) {
  test(`the bytes ${bytes} end with ${expected} of an unfinished character`, () => assert.equal(incompleteTail(Buffer.from(bytes, 'hex')), expected))
}
