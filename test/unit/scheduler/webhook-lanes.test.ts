import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { DeliveryLane } from '#store/webhook-deliveries.ts'
import { createLanes, type Lanes } from '../../../scheduler/webhooks/lanes.ts'

const begin = (lanes: Lanes, endpointId: string, lane: DeliveryLane, accountId = 'acc') =>
  lanes.begin({ endpointId, accountId, lane, kind: 'endpoint', url: '' })

/** Room in all, for those that are not quick, for the slow ones. */
const bounds = (lanes: Lanes) => {
  const { slots, unprovenSlots, slowSlots } = lanes.room()
  return [slots, unprovenSlots, slowSlots]
}

function aClock() {
  let nowMs = 0
  return { lanes: createLanes({ slots: 8, waiting: 16, perEndpoint: 4, slowMs: 2000 }, () => nowMs), pass: (ms: number) => void (nowMs += ms) }
}

test('an endpoint is new until it was quick, and again when that is long ago or it fails', () => {
  const { lanes, pass } = aClock()
  const end = begin(lanes, 'a', 'new')
  assert.deepEqual(lanes.room().destinations, [{ id: 'a', limit: 4, inFlight: 1, lane: 'new' }])
  end(true)
  assert.deepEqual(lanes.room().destinations, [{ id: 'a', limit: 4, inFlight: 0, lane: 'quick' }])
  begin(lanes, 'a', 'quick')(false)
  assert.equal(lanes.room().destinations[0]?.lane, 'new')
  begin(lanes, 'a', 'quick')(true)
  pass(60_000)
  assert.deepEqual(lanes.room().destinations, [], 'what was long ago is forgotten')
})

test('an endpoint with a delivery that takes long is slow, then and until it was quick again', () => {
  const { lanes, pass } = aClock()
  begin(lanes, 'a', 'new')(true)
  const [one, two] = [begin(lanes, 'a', 'quick'), begin(lanes, 'a', 'quick')]
  pass(2001)
  assert.deepEqual(lanes.room().destinations, [{ id: 'a', limit: 4, inFlight: 2, lane: 'slow' }])
  one(true)
  two(true)
  assert.equal(lanes.room().destinations[0]?.lane, 'slow')
  begin(lanes, 'a', 'slow')(true)
  assert.equal(lanes.room().destinations[0]?.lane, 'quick')
})

test('slow ones have at most half of the slots, these and new ones three quarters', () => {
  const { lanes } = aClock()
  assert.deepEqual(bounds(lanes), [8, 6, 4])
  for (const id of ['a', 'b', 'c']) begin(lanes, id, 'slow')
  assert.deepEqual(bounds(lanes), [5, 3, 1])
  begin(lanes, 'd', 'slow')
  assert.deepEqual(bounds(lanes), [4, 2, 0])
  for (const id of ['e', 'f']) begin(lanes, id, 'new')
  assert.deepEqual(bounds(lanes), [2, 0, 0])
  const quick = ['g', 'h'].map((id) => begin(lanes, id, 'quick'))
  assert.deepEqual([bounds(lanes), lanes.inFlight()], [[0, 0, 0], 8])
  for (const end of quick) end(true)
  assert.equal(lanes.inFlight(), 6)
})

test('one that only waits frees its slot, up to a number; one that was known to be slow does not', () => {
  const { lanes, pass } = aClock()
  for (const id of ['a', 'b', 'c', 'd']) begin(lanes, id, 'slow')
  for (const id of ['e', 'f']) begin(lanes, id, 'new')
  assert.deepEqual(bounds(lanes), [2, 0, 0])
  pass(2001)
  assert.deepEqual(bounds(lanes), [8, 6, 0])
  for (let i = 0; i < 6; i++) begin(lanes, `g${i}`, 'new')
  pass(2001)
  assert.deepEqual(bounds(lanes), [8, 6, 0])
  for (let i = 0; i < 6; i++) begin(lanes, `h${i}`, 'new')
  pass(2001)
  assert.deepEqual(bounds(lanes), [6, 0, 0])
  const end = begin(lanes, 'i', 'quick')
  assert.deepEqual(bounds(lanes), [5, 0, 0])
  end(true)
})

test('what is remembered is bounded', () => {
  const { lanes } = aClock()
  for (let i = 0; i < 1500; i++) begin(lanes, `endpoint ${i}`, 'new')(true)
  assert.equal(lanes.room().destinations.length, 1000)
  assert.equal(lanes.room().destinations.at(-1)?.id, 'endpoint 1499')
})

test('no account has more than half', () => {
  const { lanes, pass } = aClock()
  const ends = [begin(lanes, 'a', 'quick', 'one'), begin(lanes, 'a', 'quick', 'one'), begin(lanes, 'b', 'new', 'two')]
  assert.equal(lanes.room().accountSlots, 4)
  assert.deepEqual(lanes.room().accounts, [
    { id: 'one', room: 2 },
    { id: 'two', room: 3 },
  ])
  pass(2001)
  assert.deepEqual(lanes.room().accounts[0], { id: 'one', room: 4 })
  for (const end of ends) end(true)
  assert.deepEqual(lanes.room().accounts, [])
})

test('servers that jobs name are told apart, whatever the path', () => {
  const { lanes } = aClock()
  const to = (url: string) => lanes.begin({ endpointId: 'wh', accountId: 'acc', lane: 'new', kind: 'jobs', url })
  for (const url of ['https://a.example/1', 'https://a.example/2?x', 'https://b.example:8443']) to(url)
  assert.deepEqual(
    lanes.room().destinations.map(({ id, inFlight }) => [id, inFlight]),
    [
      ['wh https://a.example', 2],
      ['wh https://b.example:8443', 1],
    ],
  )
})
