import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ATTEMPT_STATES, canAttemptGo, canJobGo, FINAL_JOB_STATES, isFinal, JOB_STATES, LIVE_ATTEMPT_STATES } from '#core/job/state.ts'

test('a job leaves no final state, and reaches each', () => {
  for (const final of FINAL_JOB_STATES) {
    assert.ok(isFinal(final))
    assert.ok(canJobGo('running', final))
    for (const next of JOB_STATES) assert.equal(canJobGo(final, next), false, `${final} → ${next}`)
  }
})

test('a job that does not run ends by a cancel, in the queue also by its time limit', () => {
  const ends = (waiting: 'held' | 'queued') => FINAL_JOB_STATES.filter((final) => canJobGo(waiting, final))
  assert.deepEqual(ends('held'), ['cancelled'])
  assert.deepEqual(ends('queued'), ['failed', 'cancelled'])
})

test('a held job is queued before it runs', () => {
  assert.equal(canJobGo('held', 'running'), false)
  assert.equal(canJobGo('held', 'queued'), true)
  assert.equal(canJobGo('queued', 'held'), false)
})

test('an attempt goes forward only, and may end from each live state', () => {
  const live: readonly string[] = LIVE_ATTEMPT_STATES
  for (const [i, from] of ATTEMPT_STATES.entries()) {
    for (const [j, to] of ATTEMPT_STATES.entries()) {
      if (!live.includes(from) || j <= i) assert.equal(canAttemptGo(from, to), false, `${from} → ${to}`)
      else if (!live.includes(to)) assert.equal(canAttemptGo(from, to), true, `${from} → ${to}`)
    }
  }
})
