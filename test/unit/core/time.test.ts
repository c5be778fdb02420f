import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { after, DeadlineError, formatDuration, pause, sleep, withDeadline } from '#core/service/time.ts'

const DAY_MS = 86_400_000

test('a sleep rejects with the reason of its signal; a pause only ends', async () => {
  const stop = new AbortController()
  const sleeping = sleep(DAY_MS, stop.signal)
  const pausing = pause(DAY_MS, stop.signal)
  stop.abort(new Error('enough'))
  await assert.rejects(sleeping, /enough/)
  await pausing
  await pause(DAY_MS, stop.signal)
})

test('work that takes too long is told by its signal, and the caller by a DeadlineError', async () => {
  let told: unknown
  const work = (signal: AbortSignal) =>
    new Promise<never>(() =>
      signal.addEventListener('abort', () => {
        told = signal.reason
      }),
    )
  await assert.rejects(
    withDeadline('the work', 1, work),
    (error: unknown) => error instanceof DeadlineError && /the work took longer than 1 ms/.test(error.message),
  )
  assert.ok(told instanceof DeadlineError)
})

test('work that is done in time, or fails, says so itself', async () => {
  assert.equal(await withDeadline('x', DAY_MS, async () => 7), 7)
  await assert.rejects(
    withDeadline('x', DAY_MS, () => Promise.reject(new Error('its own'))),
    /its own/,
  )
})

test('an outer signal ends the work too', async () => {
  const outer = new AbortController()
  const work = withDeadline('x', DAY_MS, () => new Promise<never>(() => undefined), outer.signal)
  outer.abort(new Error('outer'))
  await assert.rejects(work, /outer/)
  assert.equal(getEventListeners(outer.signal, 'abort').length, 0)
})

test('what was called off is not run', async () => {
  let runs = 0
  after(0, () => runs++)()
  await sleep(2)
  assert.equal(runs, 0)
})

for (const [ms, text] of [
  [850.4, '850 ms'],
  [12_345, '12.3 s'],
  [125_000, '2 min 5 s'],
  [3_780_000, '1 h 3 min'],
] as const) {
  test(`${ms} ms are ${text}`, () => assert.equal(formatDuration(ms), text))
}
