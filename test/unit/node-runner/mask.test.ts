import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { createMasker, masked, maskText } from '../../../node-runner/log/mask.ts'

/** The whole text at once, by the plain words of the rule. */
function reference(text: string, secrets: readonly string[]): string {
  const sorted = [...secrets].sort((a, b) => b.length - a.length)
  let result = ''
  for (let at = 0; at < text.length; ) {
    const secret = sorted.find((one) => text.startsWith(one, at))
    result += secret === undefined ? text[at] : '***'
    at += secret?.length ?? 1
  }
  return result
}

function inPieces(text: string, secrets: readonly string[], cuts: readonly number[]): string {
  const data = Buffer.from(text, 'latin1')
  const masker = createMasker(secrets)
  const parts: Buffer[] = []
  let start = 0
  for (const cut of [...cuts].sort((a, b) => a - b)) {
    if (cut < start || cut > data.length) continue
    parts.push(masker.push(data.subarray(start, cut)))
    start = cut
  }
  parts.push(masker.push(data.subarray(start)), masker.flush())
  return Buffer.concat(parts).toString('latin1')
}

test('what is masked does not depend on how the output was cut, with secrets within and behind each other', () => {
  const letters = fc.array(fc.constantFrom('a', 'b'), { minLength: 1, maxLength: 5 }).map((list) => list.join(''))
  const text = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 40 }).map((list) => list.join(''))
  fc.assert(
    fc.property(text, fc.array(letters, { maxLength: 4 }), fc.array(fc.nat(40), { maxLength: 8 }), (whole, secrets, cuts) => {
      assert.equal(inPieces(whole, secrets, cuts), reference(whole, secrets))
    }),
    { numRuns: 1000 },
  )
})

test('a secret that comes byte by byte is masked, and what only begins like one is shown', () => {
  const cuts = Array.from({ length: 40 }, (_, i) => i)
  assert.equal(inPieces('key=hunter22; hunter23; hunter2', ['hunter22'], cuts), 'key=***; hunter23; hunter2')
})

test('only bytes that may begin a secret wait', () => {
  const masker = createMasker(['secret'])
  assert.equal(masker.push(Buffer.from('plain\nsec')).toString(), 'plain\n')
  assert.equal(masker.push(Buffer.from('ond\n')).toString(), 'second\n')
  assert.equal(masker.push(Buffer.from('ret')).toString(), 'ret')
})

test('without secrets, and where there is nothing to mask, the bytes are passed on as they are', () => {
  const data = Buffer.from('some output\n')
  assert.equal(createMasker([]).push(data), data)
  assert.equal(createMasker(['secret']).push(data), data)
})

test('the streams of an output are told apart', async () => {
  const source = async function* () {
    for (const [stream, text] of [
      ['stdout', 'sec'],
      ['stderr', 'ret sec'],
      ['stdout', 'ret!'],
    ] as const)
      yield { stream, data: Buffer.from(text) }
  }
  const seen: string[] = []
  for await (const { stream, data } of masked(source(), ['secret'])) seen.push(`${stream}:${data}`)
  assert.deepEqual(seen, ['stderr:ret ', 'stdout:***!', 'stderr:sec'])
})

test('sentences are masked too', () => assert.equal(maskText('cannot start hunter22', ['hunter22']), 'cannot start ***'))
