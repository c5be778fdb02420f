import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createCallBudget, type Urgency } from '../../../../scheduler/cloud/call-budget.ts'
import { CloudError } from '../../../../scheduler/cloud/cloud.ts'
import { createManualClock } from '../../../harness/clock.ts'

const { signal } = new AbortController()

function make(patienceMs = 3_600_000) {
  const clock = createManualClock(0)
  const budget = createCallBudget({ limitPerHour: 3600, patienceMs, now: clock.now, wait: clock.wait })
  /** What an answer says when so many are left of a bucket that gets one a second. */
  const say = (remaining: number, limit = 3600) => ({ limit, remaining, resetAtMs: clock.now() + (limit - remaining) * 1000 })
  const spend = async (remaining: number) => {
    await budget.take('delete', signal)
    budget.answered(say(remaining))
  }
  return { clock, budget, say, spend }
}

test('it is as full as the last answer said, and gets one a second', async () => {
  const { clock, budget, spend } = make()
  assert.equal(budget.remaining(), 3600)
  await spend(1000)
  assert.equal(budget.remaining(), 1000)
  await clock.advance(10_000)
  assert.equal(budget.remaining(), 1010)
  await clock.advance(3_600_000)
  assert.equal(budget.remaining(), 3600)
  assert.equal(budget.calls(), 1)
})

test('the last calls are kept for deletions, then for orders', async () => {
  for (const [left, expected] of [
    [361, [true, true, true]],
    [360, [true, true, false]],
    [73, [true, true, false]],
    [72, [true, false, false]],
    [1, [true, false, false]],
    [0, [false, false, false]],
  ] as const) {
    const goes = async (urgency: Urgency) => {
      const { budget, spend } = make(0)
      await spend(left)
      return budget.take(urgency, signal).then(
        () => true,
        () => false,
      )
    }
    assert.deepEqual([await goes('delete'), await goes('create'), await goes('read')], expected, `${left} left`)
  }
})

test('what is more urgent overtakes what waits', async () => {
  const { clock, budget, spend } = make()
  await spend(0)
  const order: string[] = []
  const take = async (urgency: Urgency) => {
    await budget.take(urgency, signal)
    order.push(urgency)
    budget.answered(null)
  }
  const waiting = [take('read'), take('create'), take('delete')]
  await clock.advance(600_000)
  await Promise.all(waiting)
  assert.deepEqual(order, ['delete', 'create', 'read'])
})

test('after a refusal calls go one by one as tokens come, not all at once', async () => {
  const { clock, budget, say } = make()
  await budget.take('delete', signal)
  const retryAtMs = budget.exceeded()
  budget.answered(say(0))
  assert.equal(retryAtMs, 1000)
  const times: number[] = []
  const waiting = Array.from({ length: 20 }, async () => {
    await budget.take('delete', signal)
    times.push(clock.now())
    budget.answered(null)
  })
  await clock.advance(60_000)
  await Promise.all(waiting)
  for (let second = 0; second < 30; second++) {
    const made = times.filter((ms) => ms >= second * 1000 && ms < (second + 1) * 1000).length
    assert.ok(made <= 2, `${made} calls in second ${second}`)
  }
})

test('refusals in a row double the pause, up to a minute; an answer ends that', async () => {
  const { clock, budget, say } = make()
  const pauses: number[] = []
  for (let i = 0; i < 8; i++) {
    await clock.advance(61_000)
    await budget.take('delete', signal)
    pauses.push(budget.exceeded() - clock.now())
    budget.answered(say(0))
  }
  assert.deepEqual(pauses, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000])
  await clock.advance(61_000)
  await budget.take('delete', signal)
  budget.answered(say(100))
  await budget.take('delete', signal)
  assert.equal(budget.exceeded() - clock.now(), 1000)
})

test('a call that would wait for too long is not made, and says when it could be', async () => {
  const { budget, spend } = make(10_000)
  await spend(0)
  await assert.rejects(budget.take('read', signal), (error) => error instanceof CloudError && error.kind === 'rate_limited' && error.retryAtMs === 361_000)
})

test('one that gives up leaves the queue', async () => {
  const { clock, budget, spend } = make()
  await spend(0)
  const stop = new AbortController()
  const given = budget.take('delete', stop.signal)
  stop.abort(new Error('enough'))
  await assert.rejects(given, /enough/)
  const next = budget.take('delete', signal)
  await clock.advance(1000)
  await next
})

test('a limit that is not the usual one is believed', async () => {
  const { clock, budget } = make()
  await budget.take('delete', signal)
  budget.answered({ limit: 7200, remaining: 0, resetAtMs: clock.now() + 3_600_000 })
  await clock.advance(10_000)
  assert.equal(budget.remaining(), 20)
})

for (const [what, header] of [
  ['less than nothing is left', { limit: 3600, remaining: -1e9, resetAtMs: 3_600_000 }],
  ['all are back in a thousand years', { limit: 3600, remaining: 0, resetAtMs: 3.2e13 }],
] as const) {
  test(`an answer that says ${what} stops no deletion for long`, async () => {
    const { clock, budget } = make(10_000)
    await budget.take('delete', signal)
    budget.answered(header)
    // It is made when its turn comes; it would be refused, were that later than the patience of 10 s.
    const next = budget.take('delete', signal)
    await clock.advance(2000)
    await next
  })
}
