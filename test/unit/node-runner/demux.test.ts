import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { demux } from '../../../node-runner/docker/demux.ts'

function frame(stream: 'stdout' | 'stderr', data: Buffer): Buffer {
  const header = Buffer.alloc(8)
  header[0] = stream === 'stdout' ? 1 : 2
  header.writeUInt32BE(data.length, 4)
  return Buffer.concat([header, data])
}

async function* split(data: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let at = 0
  for (let i = 0; at < data.length; i++) {
    const size = sizes[i % sizes.length] ?? 1
    yield data.subarray(at, at + size)
    at += size
  }
}

test('frames are put together however they are cut', async () => {
  const frames = fc.array(fc.record({ stream: fc.constantFrom('stdout' as const, 'stderr' as const), data: fc.uint8Array({ maxLength: 50 }) }), {
    maxLength: 10,
  })
  const sizes = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 5 })
  await fc.assert(
    fc.asyncProperty(frames, sizes, async (parts, cuts) => {
      const got = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) }
      for await (const piece of demux(split(Buffer.concat(parts.map((part) => frame(part.stream, Buffer.from(part.data)))), cuts)))
        got[piece.stream] = Buffer.concat([got[piece.stream], piece.data])
      for (const stream of ['stdout', 'stderr'] as const) {
        const expected = Buffer.concat(parts.filter((part) => part.stream === stream).map((part) => Buffer.from(part.data)))
        assert.ok(got[stream].equals(expected))
      }
    }),
    { numRuns: 60 },
  )
})

test('nothing more is read while the consumer is busy', async () => {
  let read = 0
  const source = (async function* () {
    for (;;) {
      read++
      yield frame('stdout', Buffer.alloc(100))
    }
  })()
  const pieces = demux(source)
  await pieces.next()
  await pieces.next()
  assert.ok(read <= 2, `${read} were read for 2`)
  await pieces.return(undefined)
})
