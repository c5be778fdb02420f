import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { afterPosition, createLineMender, type RecordedPiece } from '../../../node-runner/docker/recorded-log.ts'
import { createMasker, masked } from '../../../node-runner/log/mask.ts'

const NOTHING = { bytes: 0, tail: Buffer.alloc(0) }
const at = (text: string) => ({ bytes: Buffer.byteLength(text), tail: Buffer.from(text).subarray(-64) })

async function after(recorded: readonly (readonly [string, number])[], known: string, lastAtMs: number): Promise<{ text: string; lost: number }> {
  let lost = 0
  async function* source(): AsyncGenerator<RecordedPiece> {
    for (const [text, atMs] of recorded) yield { stream: 'stdout', data: Buffer.from(text), atMs }
  }
  let text = ''
  for await (const piece of afterPosition(source(), { positions: { stdout: at(known), stderr: NOTHING }, lastAtMs }, () => void lost++))
    text += piece.data.toString()
  return { text, lost }
}

test('what is in the log already is left out, to the byte', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.string({ unit: 'binary-ascii' })), fc.nat(), async (lines, cut) => {
      const whole = lines.join('')
      const known = whole.slice(0, cut % (whole.length + 1))
      const recorded = lines.map((line) => [line, 1000] as const)
      assert.deepEqual(await after(recorded, known, 1000), { text: whole.slice(known.length), lost: 0 })
    }),
  )
})

test('a recording that lost its beginning is told by its bytes', async () => {
  const { text, lost } = await after(
    [
      ['ccc\n', 1],
      ['ddd\n', 1],
      ['eee\n', 1],
    ],
    'aaa\nbbb\n',
    1,
  )
  assert.deepEqual([text, lost], ['eee\n', 1])
})

test('and by its times, where the bytes are all alike: nothing new is left out for long', async () => {
  const { text, lost } = await after(
    [
      ['y\n', 1000],
      ['y\n', 5000],
      ['y\n', 6000],
    ],
    'y\n'.repeat(1000),
    1000,
  )
  assert.deepEqual([text, lost], ['y\ny\n', 1])
})

test('a line that ended long after its beginning was read goes on where it was', async () => {
  const recorded = [
    ['aaa\n', 1000],
    ['token: abc\n', 60_000],
  ] as const
  assert.deepEqual(await after(recorded, 'aaa\ntoken: ', 1000), { text: 'abc\n', lost: 0 })
})

test('a runner that takes over goes on with the same masked output, wherever the earlier one was killed', async () => {
  const secrets = ['secret-long', 'secret', 'two\nlines']
  const lines = ['a secret-long b\n', 'secret-lon secret\n', '\n', 'two\n', 'lines two\n', 'linesecret\n', 'secr']
  const printed = lines.join('')
  const mask = (text: string) => {
    const masker = createMasker(secrets)
    return { shown: masker.push(Buffer.from(text)).toString(), rest: masker.flush().toString() }
  }
  const { shown, rest } = mask(printed)
  async function* recording(): AsyncGenerator<RecordedPiece> {
    for (const [i, line] of lines.entries()) yield { stream: 'stdout', data: Buffer.from(line), atMs: 1000 * i }
  }
  for (let cut = 0; cut <= printed.length; cut++) {
    // What an attached runner had written when it was killed after so many bytes.
    const known = mask(printed.slice(0, cut)).shown
    const lastAtMs = 1000 * (printed.slice(0, cut).split('\n').length - 1)
    let text = known
    const position = { positions: { stdout: at(known), stderr: NOTHING }, lastAtMs }
    for await (const piece of afterPosition(masked(recording(), secrets), position, () => assert.fail(`something is lost at ${cut}`))) text += piece.data
    assert.equal(text, `${shown}${rest}`, `cut at ${cut}`)
  }
})

test('the pieces of a long line are put together again', () => {
  const piece = Buffer.alloc(16_384, 'x')
  for (const [entries, expected] of [
    [[piece, Buffer.from('abc')], piece.length + 4],
    [[piece, Buffer.alloc(0)], piece.length + 1],
    [[piece, piece, Buffer.from('a')], 2 * piece.length + 2],
    [[Buffer.from('abc')], 3],
    [[Buffer.from('abc\n'), Buffer.from('d')], 5],
  ] as const) {
    const mender = createLineMender()
    assert.equal(Buffer.concat(entries.map((entry) => mender.mend(entry))).length, expected)
  }
})
