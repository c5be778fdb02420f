import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Bucket, createBuckets, takeToken } from '../../../gateway/limits/rate.ts'

test('a second’s worth at once, then steadily', () => {
  const bucket: Bucket = { tokens: 5, atMs: 0 }
  const at = (ms: number) => takeToken(bucket, 5, ms)
  assert.deepEqual(
    [0, 0, 0, 0, 0, 0].map((ms) => at(ms).allowed),
    [true, true, true, true, true, false],
  )
  assert.equal(at(100).allowed, false)
  assert.equal(at(200).allowed, true)
  assert.deepEqual(at(10_200), { allowed: true, perSecond: 5, remaining: 4, resetSeconds: 1 })
})

test('over any span no more are allowed than the rate gives, and one second’s worth', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 100 }), fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 300 }), (perSecond, pauses) => {
      const bucket: Bucket = { tokens: perSecond, atMs: 0 }
      let ms = 0
      let allowed = 0
      for (const pause of pauses) {
        ms += pause
        if (takeToken(bucket, perSecond, ms).allowed) allowed++
        assert.ok(allowed <= perSecond + (ms / 1000) * perSecond + 1e-6)
      }
    }),
  )
})

test('who waits as long as told is let in', () => {
  const bucket: Bucket = { tokens: 0, atMs: 0 }
  const { allowed, resetSeconds } = takeToken(bucket, 1, 0)
  assert.equal(allowed, false)
  assert.equal(takeToken(bucket, 1, resetSeconds * 1000).allowed, true)
})

test('each name has its own, and a full one is forgotten', () => {
  const buckets = createBuckets()
  assert.equal(buckets.take('a', 1, 0).allowed, true)
  assert.equal(buckets.take('a', 1, 1).allowed, false)
  assert.equal(buckets.take('b', 1, 1).allowed, true)
  assert.equal(buckets.take('a', 1, 60_000).allowed, true)
})
