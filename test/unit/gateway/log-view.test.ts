import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import fc from 'fast-check'
import type { LogMessage } from '#bus/messages/log.ts'
import type { LogChunk } from '#core/api.ts'
import { chunkBytes } from '#core/log-chunk.ts'
import { lastLines, viewOf } from '../../../gateway/log/view.ts'

const chunk = (text: string, at = 0, stream: LogChunk['stream'] = 'stdout'): LogChunk => ({ stream, at, text })
const binary = (data: Buffer): LogChunk => ({ stream: 'stdout', at: 0, base64: data.toString('base64') })
const bytesOf = (messages: readonly LogMessage[]) => Buffer.concat(messages.flatMap((message) => message.chunks.map(chunkBytes)))

function messagesOf(groups: readonly (readonly LogChunk[])[]): LogMessage[] {
  return groups.map((chunks, index) => ({ seq: index + 1, chunks: [...chunks] }))
}

/** As `tail -n` counts: an unfinished last line is a line. */
function lastLinesOf(data: Buffer, count: number): Buffer {
  const lines = data.toString('latin1').split(/(?<=\n)/)
  return Buffer.from(
    count === 0
      ? ''
      : lines
          .filter((line) => line !== '')
          .slice(-count)
          .join(''),
    'latin1',
  )
}

test('the last lines are those of the whole log, however it was cut into messages', async () => {
  const piece = fc.oneof(
    fc.array(fc.constantFrom('a', 'é', '\n'), { maxLength: 6 }).map((letters) => chunk(letters.join(''))),
    fc.uint8Array({ maxLength: 4 }).map((bytes) => binary(Buffer.from(bytes))),
  )
  await fc.assert(
    fc.asyncProperty(fc.array(fc.array(piece, { maxLength: 3 }), { maxLength: 12 }), fc.integer({ min: 0, max: 8 }), async (groups, count) => {
      const messages = messagesOf(groups)
      const last = await lastLines(Readable.from(messages), count)
      assert.deepEqual(bytesOf(last), lastLinesOf(bytesOf(messages), count))
    }),
  )
})

test('lines that are too long to hold are fewer, and end where the log ends', async () => {
  const long = 'x'.repeat(3 * 2 ** 20)
  const last = await lastLines(Readable.from(messagesOf(Array.from({ length: 10 }, (_, i) => [chunk(`${i}${long}\n`)]))), 10)
  assert.ok(last.length < 10)
  assert.equal(last.at(-1)?.seq, 10)
})

test('a view holds what was written since, of the streams that are wanted', () => {
  const chunks = [chunk('a', 5), chunk('b', 10, 'stderr'), chunk('c', 15, 'system')]
  const texts = (view: Parameters<typeof viewOf>[1]) => viewOf(chunks, view).map(({ text }) => text)
  assert.deepEqual(texts({}), ['a', 'b', 'c'])
  assert.deepEqual(texts({ sinceMs: 10 }), ['b', 'c'])
  assert.deepEqual(texts({ stream: 'stderr' }), ['b'])
  assert.deepEqual(texts({ stream: 'output' }), ['a', 'b'])
})
