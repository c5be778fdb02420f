import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RETRY_PAUSES_MS, readRetryAfter, retryPauseMs } from '../../../scheduler/webhooks/schedule.ts'
import type { Answer } from '../../../scheduler/webhooks/send.ts'
import { judge } from '../../../scheduler/webhooks/verdict.ts'

const HOUR_MS = 3_600_000

test('the pauses grow and come to about 24 hours', () => {
  assert.deepEqual(
    RETRY_PAUSES_MS,
    RETRY_PAUSES_MS.toSorted((a, b) => a - b),
  )
  assert.equal(new Set(RETRY_PAUSES_MS).size, RETRY_PAUSES_MS.length)
  const wholeMs = RETRY_PAUSES_MS.reduce((sum, pause) => sum + pause, 0)
  assert.ok(wholeMs >= 24 * HOUR_MS && wholeMs < 25 * HOUR_MS)
})

test('the pause after a failed try', () => {
  const cases: [failed: number, retryAfterMs: number | null, random: number, expected: number | undefined][] = [
    [1, null, 0.5, 5000],
    [1, null, 0, 4500],
    [1, null, 1, 5500],
    [2, null, 0.5, 30_000],
    [3, null, 0.5, 300_000],
    [9, null, 0.5, 10 * HOUR_MS],
    [10, null, 0.5, undefined],
    [1, 60_000, 0.5, 60_000],
    [3, 60_000, 0.5, 300_000],
    [10, 60_000, 0.5, undefined],
  ]
  for (const [failed, retryAfterMs, random, expected] of cases) assert.equal(retryPauseMs(failed, retryAfterMs, random), expected, `${failed} ${retryAfterMs}`)
})

test('Retry-After is read as seconds or a date, at most a day, and is nothing otherwise', () => {
  const nowMs = Date.parse('2026-01-01T00:00:00Z')
  const cases: [string | undefined, number | null][] = [
    [undefined, null],
    ['', null],
    ['120', 120_000],
    [' 5 ', 5000],
    ['0', 0],
    ['99999999', 24 * HOUR_MS],
    ['-5', null],
    ['1.5', null],
    ['soon', null],
    ['99999999999999999999', null],
    ['Thu, 01 Jan 2026 01:00:00 GMT', HOUR_MS],
    ['Wed, 31 Dec 2025 23:00:00 GMT', 0],
    ['Fri, 01 Jan 2100 00:00:00 GMT', 24 * HOUR_MS],
  ]
  for (const [header, expected] of cases) assert.equal(readRetryAfter(header, nowMs), expected, String(header))
})

test('what follows from an answer', () => {
  const answer = (change: Partial<Answer>): Answer => ({
    atMs: 0,
    durationMs: 1,
    status: null,
    error: null,
    body: null,
    retryAfterMs: null,
    outcome: 'answered',
    ...change,
  })
  const pause = (failed: number, retryAfterMs: number | null) => (failed < 3 ? (retryAfterMs ?? failed) : undefined)
  const cases: [Partial<Answer>, step: number, string, string][] = [
    [{ status: 200 }, 0, '{"to":"delivered"}', 'well'],
    [{ status: 299 }, 9, '{"to":"delivered"}', 'well'],
    [{ status: 301 }, 0, '{"to":"pending","inMs":1}', 'failing'],
    [{ status: 400 }, 1, '{"to":"pending","inMs":2}', 'failing'],
    [{ status: 500 }, 2, '{"to":"failed"}', 'failing'],
    [{ status: 410 }, 0, '{"to":"failed"}', 'gone'],
    [{ status: 429, retryAfterMs: 77 }, 0, '{"to":"pending","inMs":77}', 'failing'],
    [{ status: 503, retryAfterMs: 77 }, 0, '{"to":"pending","inMs":77}', 'failing'],
    [{ status: 500, retryAfterMs: 77 }, 0, '{"to":"pending","inMs":1}', 'failing'],
    [{ error: 'refused' }, 0, '{"to":"pending","inMs":1}', 'failing'],
  ]
  for (const [change, step, next, endpoint] of cases) {
    const verdict = judge(answer(change), step, pause)
    assert.deepEqual([JSON.stringify(verdict.next), verdict.endpoint], [next, endpoint], JSON.stringify(change))
  }
})
