import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { BadMessageError, decode, encode } from '#bus/codec.ts'
import { ClaimRequest } from '#bus/messages/claim.ts'
import { LogMessage } from '#bus/messages/log.ts'

test('what is sent is what is heard', () => {
  const message = { seq: 1, chunks: [{ stream: 'stdout' as const, at: 5, text: 'é\u0000\ud83d\ude00' }] }
  assert.deepEqual(decode(LogMessage, encode(LogMessage, message)), message)
})

test('a part of a larger buffer is read as that part', () => {
  const bytes = Buffer.from(`xx${JSON.stringify({ slots: 1, memoryBytes: 2 })}xx`)
  assert.deepEqual(decode(ClaimRequest, bytes.subarray(2, -2)), { slots: 1, memoryBytes: 2 })
})

for (const [what, text] of [
  ['nothing', ''],
  ['no JSON', '{'],
  ['another shape', '[]'],
  ['a missing field', '{"slots":1}'],
  ['a wrong type', '{"slots":"1","memoryBytes":0}'],
  ['a number out of range', '{"slots":0,"memoryBytes":0}'],
] as const) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => decode(ClaimRequest, Buffer.from(text)),
      (error: unknown) => error instanceof BadMessageError && /ClaimRequest/.test(error.message),
    )
  })
}

test('a wrong message is not sent either, and the fault does not show what was in it', () => {
  assert.throws(
    () => encode(ClaimRequest, { slots: 1, memoryBytes: 's3cret' as never }),
    (error: unknown) => error instanceof BadMessageError && !error.message.includes('s3cret'),
  )
})

test('no bytes make it throw anything else', () => {
  fc.assert(
    fc.property(fc.uint8Array(), (bytes) => {
      try {
        decode(ClaimRequest, bytes)
      } catch (error) {
        assert.ok(error instanceof BadMessageError)
      }
    }),
  )
})
