import assert from 'node:assert/strict'
import { test } from 'node:test'
import { age, until } from '../../../cli/print.ts'

const NOW_MS = Date.parse('2026-11-23T10:00:00Z')
const DAY_SECONDS = 86_400
const after = (seconds: number) => new Date(NOW_MS + seconds * 1000).toISOString()

test('an age is what is over of it, in the greatest unit that fits', () => {
  const of = (seconds: number) => age(after(-seconds), NOW_MS)
  assert.deepEqual([0, 0.4, 59.4, 60, 119, 3599, 3600, 2 * DAY_SECONDS - 1, 2 * DAY_SECONDS].map(of), ['0s', '0s', '59s', '1m', '1m', '59m', '1h', '1d', '2d'])
  assert.equal(of(-5), '0s', 'a clock that is behind')
  assert.equal(age(null, NOW_MS), '-')
})

test('the time that is left is told to the nearest unit', () => {
  const to = (seconds: number) => until(after(seconds), NOW_MS)
  assert.deepEqual([40, 89, 90, 90 * 60, 3 * 3600 - 1].map(to), ['40s', '1m', '2m', '2h', '3h'])
  for (const gone of [0.1, 0.4, 0.6, 2, 3600]) assert.equal(to(90 * DAY_SECONDS - gone), '90d', `${gone} s after it was made`)
  assert.deepEqual([0, -1].map(to), ['now', 'now'])
  assert.equal(until(null, NOW_MS), '-')
})
