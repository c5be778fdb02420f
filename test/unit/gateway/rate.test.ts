import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Bucket, createBuckets, owe, takeToken } from '../../../gateway/limits/rate.ts'

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

test('what was taken elsewhere is missing here, and what was not there has to fill up first', () => {
  const bucket: Bucket = { tokens: 5, atMs: 0 }
  owe(bucket, 5, 3, 0)
  assert.equal(takeToken(bucket, 5, 0).remaining, 1)
  owe(bucket, 5, 11, 0)
  assert.deepEqual(takeToken(bucket, 5, 0), { allowed: false, perSecond: 5, remaining: 0, resetSeconds: 3 })
  assert.equal(takeToken(bucket, 5, 2190).allowed, false)
  assert.equal(takeToken(bucket, 5, 2210).allowed, true)
})

test('a debt is never more than ten seconds’ worth, also of a limit that was lowered', () => {
  const bucket: Bucket = { tokens: 1000, atMs: 0 }
  owe(bucket, 1000, 1_000_000, 0)
  assert.equal(takeToken(bucket, 1000, 0).resetSeconds, 11)
  assert.equal(takeToken(bucket, 1, 0).resetSeconds, 11)
})

test('whatever of several gateways is asked, they let through what one would, but for a second’s worth each and what they did not hear yet', () => {
  const perSecond = 20
  fc.assert(
    fc.property(fc.array(fc.tuple(fc.nat(3), fc.integer({ min: 0, max: 30 })), { minLength: 200, maxLength: 400 }), (requests) => {
      const gateways = Array.from({ length: 4 }, (): Bucket => ({ tokens: perSecond, atMs: 0 }))
      let told: number[] = [0, 0, 0, 0]
      let [ms, toldMs, allowed] = [0, 0, 0]
      for (const [asked, pause] of requests) {
        ms += pause
        if (ms - toldMs >= 100) {
          const all = told.reduce((sum, taken) => sum + taken, 0)
          for (const [i, bucket] of gateways.entries()) owe(bucket, perSecond, all - (told[i] ?? 0), ms)
          toldMs = ms
          told = [0, 0, 0, 0]
        }
        const bucket = gateways[asked]
        if (!bucket || !takeToken(bucket, perSecond, ms).allowed) continue
        told[asked] = (told[asked] ?? 0) + 1
        allowed++
        assert.ok(allowed <= perSecond * (4 + ms / 1000) + 1, `${allowed} within ${ms} ms`)
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
  buckets.owe('c', 1, 5, 60_000)
  assert.equal(buckets.take('d', 1, 64_999).allowed, true)
  assert.equal(buckets.take('c', 1, 64_999).allowed, false, 'a debt is not forgotten before it is paid')
})
