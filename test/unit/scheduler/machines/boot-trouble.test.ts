import assert from 'node:assert/strict'
import { test } from 'node:test'
import { bootTrouble } from '../../../../scheduler/machines/boot-trouble.ts'

for (const { what, failed, pauseSeconds } of [
  { what: 'two that failed are an accident', failed: { count: 2, firstAgoSeconds: 400, lastAgoSeconds: 0 }, pauseSeconds: undefined },
  { what: 'buying rests as long as three took to fail', failed: { count: 3, firstAgoSeconds: 305, lastAgoSeconds: 5 }, pauseSeconds: 295 },
  { what: 'and longer each time', failed: { count: 4, firstAgoSeconds: 900, lastAgoSeconds: 0 }, pauseSeconds: 900 },
  { what: 'a minute at least', failed: { count: 9, firstAgoSeconds: 12, lastAgoSeconds: 2 }, pauseSeconds: 58 },
  { what: 'an hour at most', failed: { count: 9, firstAgoSeconds: 90_000, lastAgoSeconds: 0 }, pauseSeconds: 3600 },
  { what: 'then one is tried', failed: { count: 3, firstAgoSeconds: 700, lastAgoSeconds: 400 }, pauseSeconds: 0 },
]) {
  test(what, () => assert.equal(bootTrouble({ ...failed, last: null })?.pauseSeconds, pauseSeconds))
}

test('it says how many, and why the last one was given up', () => {
  const trouble = bootTrouble({ count: 3, firstAgoSeconds: 300, lastAgoSeconds: 0, last: 'it did not enrol within 300 s' })
  assert.equal(trouble?.detail, '3 machines in a row did not come up; the last: it did not enrol within 300 s')
})
