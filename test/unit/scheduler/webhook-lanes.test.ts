import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createLanes } from '../../../scheduler/webhooks/lanes.ts'

function aClock() {
  let nowMs = 0
  return { lanes: createLanes({ slots: 8, perEndpoint: 4, slowMs: 2000 }, () => nowMs), pass: (ms: number) => void (nowMs += ms) }
}

test('an endpoint gets several at once only after it was quick', () => {
  const { lanes, pass } = aClock()
  const end = lanes.begin('a', false)
  assert.deepEqual(lanes.room(), { slots: 7, slowSlots: 4, endpoints: [{ id: 'a', limit: 1, inFlight: 1, slow: false }] })
  end(true)
  assert.deepEqual(lanes.room().endpoints, [{ id: 'a', limit: 4, inFlight: 0, slow: false }])
  lanes.begin('a', false)(false)
  assert.deepEqual(lanes.room().endpoints, [{ id: 'a', limit: 1, inFlight: 0, slow: false }])
  pass(60_000)
  assert.deepEqual(lanes.room().endpoints, [], 'what was long ago is forgotten')
})

test('an endpoint with a delivery that takes long is slow, then and until it was quick again', () => {
  const { lanes, pass } = aClock()
  lanes.begin('a', false)(true)
  const [one, two] = [lanes.begin('a', false), lanes.begin('a', false)]
  pass(2001)
  assert.deepEqual(lanes.room().endpoints, [{ id: 'a', limit: 4, inFlight: 2, slow: true }])
  one(true)
  two(true)
  assert.equal(lanes.room().endpoints[0]?.slow, true)
  lanes.begin('a', true)(true)
  assert.deepEqual(lanes.room().endpoints, [{ id: 'a', limit: 4, inFlight: 0, slow: false }])
})

test('slow ones have at most half of the slots', () => {
  const { lanes } = aClock()
  for (const id of ['a', 'b', 'c']) lanes.begin(id, true)
  assert.deepEqual([lanes.room().slots, lanes.room().slowSlots], [5, 1])
  lanes.begin('d', true)
  assert.deepEqual([lanes.room().slots, lanes.room().slowSlots], [4, 0])
  const quick = ['e', 'f', 'g', 'h'].map((id) => lanes.begin(id, false))
  assert.deepEqual([lanes.room().slots, lanes.room().slowSlots, lanes.inFlight()], [0, 0, 8])
  for (const end of quick) end(true)
  assert.equal(lanes.inFlight(), 4)
})

test('what is remembered is bounded', () => {
  const { lanes } = aClock()
  for (let i = 0; i < 1500; i++) lanes.begin(`endpoint ${i}`, false)(true)
  assert.equal(lanes.room().endpoints.length, 1000)
  assert.equal(lanes.room().endpoints.at(-1)?.id, 'endpoint 1499')
})
