import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { LogChunk } from '#core/api.ts'
import { chunkBytes } from '#core/log-chunk.ts'
import type { Listener } from '../../../cli/follow.ts'
import { withPrefix } from '../../../cli/prefixed-output.ts'
import { createStamper } from '../../../cli/timestamps.ts'

const AT = Date.parse('2026-01-01T00:00:00.000Z')
const TIME = '2026-01-01T00:00:00.000Z'
const out = (text: string, stream: LogChunk['stream'] = 'stdout'): LogChunk => ({ stream, at: AT, text })

function collector(): { output: Listener; written: string[] } {
  const written: string[] = []
  const nothing = () => undefined
  return {
    written,
    output: {
      status: nothing,
      attempt: nothing,
      lost: nothing,
      chunk: async (chunk) => void written.push(`${chunk.stream}:${chunkBytes(chunk).toString('latin1')}`),
    },
  }
}

test('the time stands before each line, also of one that comes in pieces, each stream by itself', () => {
  const stamp = createStamper()
  assert.equal(stamp(out('one\ntw')).text, `${TIME} one\n${TIME} tw`)
  assert.equal(stamp(out('err\n', 'stderr')).text, `${TIME} err\n`)
  assert.equal(stamp(out('o\n')).text, 'o\n')
  assert.equal(stamp(out('\n\n')).text, `${TIME} \n${TIME} \n`)
  const binary = stamp({ stream: 'stdout', at: AT, base64: Buffer.from([0xff, 10, 0xfe]).toString('base64') })
  assert.deepEqual(chunkBytes(binary), Buffer.concat([Buffer.from(`${TIME} `), Buffer.from([0xff, 10]), Buffer.from(`${TIME} `), Buffer.from([0xfe])]))
})

test('lines that come in pieces are written whole, with their prefix, and the last one when the log is over', async () => {
  const { output, written } = collector()
  const listener = withPrefix(output, 'a | ', false)
  for (const chunk of [out('one\ntw'), out('err\n', 'stderr'), out('o\nthree')]) await listener.chunk(chunk)
  assert.deepEqual(written, ['stdout:a | one\n', 'stderr:a | err\n', 'stdout:a | two\n'])
  await listener.end()
  assert.equal(written.at(-1), 'stdout:a | three\n')
})

test('with a prefix the time stands behind it', async () => {
  const { output, written } = collector()
  await withPrefix(output, 'a | ', true).chunk(out('one\n'))
  assert.deepEqual(written, [`stdout:a | ${TIME} one\n`])
})
