import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createBreakers } from '../../../../scheduler/cloud/breakers.ts'

const cell = { serverType: 'cx23', location: 'fsn1' }
const other = { serverType: 'cx23', location: 'nbg1' }
const MINUTE_MS = 60_000

function make() {
  let nowMs = 0
  const breakers = createBreakers(() => nowMs)
  return { breakers, at: (ms: number) => void (nowMs = ms) }
}

test('a cell that failed is left alone, twice as long each time, half an hour at most; others are not', () => {
  const { breakers, at } = make()
  let nowMs = 0
  for (const minutes of [1, 2, 4, 8, 16, 30, 30]) {
    breakers.enter(cell)
    breakers.failed(cell, 'resource_unavailable', 'nothing there')
    assert.deepEqual(breakers.fault(cell), { code: 'resource_unavailable', message: 'nothing there', retryAtMs: nowMs + minutes * MINUTE_MS })
    assert.equal(breakers.fault(other), null)
    at(nowMs + minutes * MINUTE_MS - 1)
    assert.notEqual(breakers.enter(cell), null)
    at((nowMs += minutes * MINUTE_MS))
    assert.equal(breakers.fault(cell), null)
  }
})

test('after the pause one order tries the cell, and the others wait for what comes of it', () => {
  const { breakers, at } = make()
  breakers.failed(cell, 'resource_unavailable', 'nothing there')
  at(MINUTE_MS)
  assert.equal(breakers.enter(cell), null)
  assert.equal(breakers.enter(cell)?.code, 'resource_unavailable')
  breakers.left(cell)
  assert.equal(breakers.enter(cell), null)
  breakers.succeeded(cell, 0)
  assert.equal(breakers.enter(cell)?.code, 'resource_unavailable', 'that order was taken before the failure')
  breakers.succeeded(cell, MINUTE_MS)
  assert.deepEqual([breakers.enter(cell), breakers.enter(cell)], [null, null])
  breakers.failed(cell, 'resource_unavailable', 'nothing there')
  assert.equal(breakers.fault(cell)?.retryAtMs, 2 * MINUTE_MS, 'it begins anew')
})

test('orders that fail together count as one failure', () => {
  const { breakers } = make()
  for (let i = 0; i < 10; i++) breakers.failed(cell, 'resource_unavailable', 'nothing there')
  assert.equal(breakers.fault(cell)?.retryAtMs, MINUTE_MS)
})

test('what is withdrawn is left alone for as long as was said', () => {
  const { breakers } = make()
  breakers.failed(cell, 'invalid_server_type', 'deprecated', 60 * MINUTE_MS)
  assert.equal(breakers.fault(cell)?.retryAtMs, 60 * MINUTE_MS)
})
