import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { test } from 'node:test'
import { createBell } from '../../../gateway/bell.ts'

const DAY_MS = 86_400_000
const never = new AbortController().signal

test('a ring wakes who waits', async () => {
  const bell = createBell()
  const woken = bell.wait(DAY_MS, never)
  bell.ring()
  await woken
  assert.equal(getEventListeners(never, 'abort').length, 0)
})

test('a ring that nobody waited for wakes the next one, once', async () => {
  const bell = createBell()
  bell.ring()
  bell.ring()
  await bell.wait(DAY_MS, never)
  const stop = new AbortController()
  const second = bell.wait(DAY_MS, stop.signal)
  stop.abort()
  await second
})

test('time or an aborted signal wakes too', async () => {
  const bell = createBell()
  await bell.wait(1, never)
  await bell.wait(DAY_MS, AbortSignal.abort())
})
