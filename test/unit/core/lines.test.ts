import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { lines } from '#core/lines.ts'
import { chunkBytes } from '#core/log-chunk.ts'

async function linesOf(chunks: readonly Buffer[]): Promise<string[]> {
  const found: string[] = []
  for await (const line of lines(
    (async function* () {
      yield* chunks
    })(),
    2 ** 20,
  ))
    found.push(line.toString())
  return found
}

test('lines are the same however the bytes are cut', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.string({ minLength: 1 }).map((text) => text.replaceAll('\n', '|'))),
      fc.infiniteStream(fc.integer({ min: 1, max: 7 })),
      async (wanted, sizes) => {
        const bytes = Buffer.from(wanted.map((line) => `${line}\n`).join(''))
        const chunks: Buffer[] = []
        for (let at = 0; at < bytes.length; ) {
          const size = sizes.next().value
          chunks.push(bytes.subarray(at, at + size))
          at += size
        }
        assert.deepEqual(await linesOf(chunks), wanted)
      },
    ),
    { numRuns: 50 },
  )
})

test('a last line without its end is a line', async () => assert.deepEqual(await linesOf([Buffer.from('a\nb')]), ['a', 'b']))

test('a line without an end is not gathered for ever', async () => {
  const megabyte = Buffer.alloc(2 ** 20, 'x')
  await assert.rejects(linesOf([megabyte, megabyte]), RangeError)
})

test('a chunk is text, or base64 where the bytes are no text', () => {
  assert.deepEqual(chunkBytes({ stream: 'stdout', at: 0, text: 'é' }), Buffer.from('é'))
  assert.deepEqual(chunkBytes({ stream: 'stdout', at: 0, base64: '/w==' }), Buffer.from([255]))
})
