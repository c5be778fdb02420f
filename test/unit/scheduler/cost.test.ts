import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { HOUR_MS, type Paid, paidHour } from '../../../scheduler/cost/paid-hour.ts'
import { type SlotUse, splitHour } from '../../../scheduler/cost/split-hour.ts'

const hour = { fromMs: 0, untilMs: HOUR_MS, paidMicrons: 9600 }
const use = (id: string, slots: number, fromMs: number, untilMs: number): SlotUse => ({ id, slots, fromMs, untilMs })
const minutes = (n: number) => n * 60_000

test('an attempt pays for its slots and its time, and nobody for the rest', () => {
  const { shares, idleMicrons } = splitHour(hour, 2, [use('a', 1, 0, HOUR_MS), use('b', 1, minutes(10), minutes(40))])
  assert.deepEqual(
    shares.map(({ id, costMicrons }) => [id, costMicrons]),
    [
      ['a', 4800],
      ['b', 2400],
    ],
  )
  assert.equal(idleMicrons, 2400)
})

test('what lies outside of the hour is not of this hour', () => {
  const { shares, idleMicrons } = splitHour(hour, 1, [use('a', 1, -minutes(30), minutes(30)), use('b', 1, HOUR_MS, HOUR_MS + 5), use('c', 1, -5, 0)])
  assert.deepEqual(
    shares.map(({ slotMs, costMicrons }) => [slotMs, costMicrons]),
    [
      [minutes(30), 4800],
      [0, 0],
      [0, 0],
    ],
  )
  assert.equal(idleMicrons, 4800)
})

test('attempts that took more than there is share the hour, and nothing is idle', () => {
  const { shares, idleMicrons } = splitHour(hour, 1, [use('a', 1, 0, HOUR_MS), use('b', 1, 0, HOUR_MS)])
  assert.deepEqual([shares.map((share) => share.costMicrons), idleMicrons], [[4800, 4800], 0])
})

test('microns that are left over go to those whose share was cut most, then by id', () => {
  const thirds = splitHour({ ...hour, paidMicrons: 10 }, 3, [use('c', 1, 0, HOUR_MS), use('a', 1, 0, HOUR_MS), use('b', 1, 0, HOUR_MS)])
  assert.deepEqual(
    thirds.shares.map(({ id, costMicrons }) => [id, costMicrons]),
    [
      ['c', 3],
      ['a', 4],
      ['b', 3],
    ],
  )
  // 2/3 of a micron is more than 1/3 of one.
  const two = splitHour({ ...hour, paidMicrons: 1 }, 3, [use('a', 1, 0, HOUR_MS), use('b', 2, 0, HOUR_MS)])
  assert.deepEqual([two.shares.map((share) => share.costMicrons), two.idleMicrons], [[0, 1], 0])
})

test('of an hour of no length, or without a price, everything is nothing', () => {
  const none = splitHour({ fromMs: 5, untilMs: 5, paidMicrons: 0 }, 2, [use('a', 1, 0, 9)])
  assert.deepEqual([none.shares, none.idleMicrons], [[{ id: 'a', slotMs: 0, costMicrons: 0 }], 0])
  assert.equal(splitHour({ ...hour, paidMicrons: 0 }, 2, [use('a', 1, 0, HOUR_MS)]).idleMicrons, 0)
})

test('each started hour is paid in full, or only what it was there', () => {
  const paid = { startMs: 1000, endMs: 1000 + minutes(90), hourMicrons: 9601 }
  const whole = { fromMs: 1000, untilMs: 1000 + HOUR_MS, paidMicrons: 9601, last: false }
  assert.deepEqual(paidHour({ ...paid, billing: 'hour' }, 0), whole)
  assert.deepEqual(paidHour({ ...paid, billing: 'second' }, 0), whole)
  assert.deepEqual(paidHour({ ...paid, billing: 'hour' }, 1), { fromMs: 1000 + HOUR_MS, untilMs: 1000 + 2 * HOUR_MS, paidMicrons: 9601, last: true })
  assert.deepEqual(paidHour({ ...paid, billing: 'second' }, 1), { fromMs: 1000 + HOUR_MS, untilMs: paid.endMs, paidMicrons: 4801, last: true })
  assert.deepEqual(paidHour({ ...paid, endMs: null, billing: 'second' }, 7).last, false)
})

test('an hour that would begin when the machine has gone is not paid; the first one is, by the hour', () => {
  const paid = { startMs: 0, endMs: HOUR_MS, hourMicrons: 100 }
  assert.deepEqual([paidHour({ ...paid, billing: 'hour' }, 0).last, paidHour({ ...paid, billing: 'hour' }, 1).paidMicrons], [true, 0])
  assert.equal(paidHour({ ...paid, endMs: -5, billing: 'hour' }, 0).paidMicrons, 100)
  assert.equal(paidHour({ ...paid, endMs: -5, billing: 'second' }, 0).paidMicrons, 0)
})

const price = fc.oneof(fc.integer({ min: 0, max: 50_000 }), fc.integer({ min: 0, max: 10_000_000_000 }))
const uses = fc
  .array(
    fc.record({
      slots: fc.integer({ min: 1, max: 64 }),
      fromMs: fc.integer({ min: -HOUR_MS, max: 5 * HOUR_MS }),
      ms: fc.integer({ min: 0, max: 3 * HOUR_MS }),
    }),
    {
      maxLength: 60,
    },
  )
  .map((list) => list.map(({ slots, fromMs, ms }, i): SlotUse => ({ id: `att_${(i * 7919) % 61}_${i}`, slots, fromMs, untilMs: fromMs + ms })))

test('whatever ran: shares and idle are what was paid, none is off by a micron, and the order means nothing', () => {
  fc.assert(
    fc.property(price, fc.integer({ min: 1, max: 64 }), uses, fc.integer(), (paidMicrons, slots, list, seed) => {
      const span = { ...hour, paidMicrons }
      const { shares, idleMicrons } = splitHour(span, slots, list)
      const used = shares.reduce((sum, share) => sum + share.slotMs, 0)
      const room = Math.max(slots * HOUR_MS, used)
      assert.equal(
        shares.reduce((sum, share) => sum + share.costMicrons, idleMicrons),
        paidMicrons,
      )
      for (const { slotMs, costMicrons } of [...shares, { slotMs: room - used, costMicrons: idleMicrons }]) {
        const exact = BigInt(paidMicrons) * BigInt(slotMs)
        const over = BigInt(costMicrons) * BigInt(room) - exact
        assert.ok(over > -BigInt(room) && over < BigInt(room), `${costMicrons} is off by a micron`)
      }
      const shuffled = splitHour(span, slots, seed % 2 === 0 ? list.toReversed() : list.toSorted((a, b) => a.slots - b.slots || a.fromMs - b.fromMs))
      const byId = (share: { id: string }, other: { id: string }) => (share.id < other.id ? -1 : 1)
      assert.deepEqual([shuffled.shares.toSorted(byId), shuffled.idleMicrons], [shares.toSorted(byId), idleMicrons])
    }),
    { numRuns: 500 },
  )
})

const machine = fc.record({
  startMs: fc.integer({ min: 0, max: HOUR_MS }),
  lifeMs: fc.integer({ min: 0, max: 5 * HOUR_MS }),
  billing: fc.constantFrom('hour' as const, 'second' as const),
  prices: fc.array(fc.integer({ min: 0, max: 200_000 }), { minLength: 8, maxLength: 8 }),
  slots: fc.integer({ min: 1, max: 16 }),
  uses,
})

test('over whole lives: Σ cost of attempts + idle = Σ hours of machines × their price, to the micron', () => {
  fc.assert(
    fc.property(fc.array(machine, { minLength: 1, maxLength: 8 }), (machines) => {
      let [cost, idle, paid] = [0, 0, 0]
      for (const { startMs, lifeMs, billing, prices, slots, uses: ran } of machines) {
        let last = false
        for (let n = 0; !last; n++) {
          const facts: Paid = { startMs, endMs: startMs + lifeMs, billing, hourMicrons: prices[n] ?? 0 }
          const span = paidHour(facts, n)
          const split = splitHour(span, slots, ran)
          cost += split.shares.reduce((sum, share) => sum + share.costMicrons, 0)
          idle += split.idleMicrons
          last = span.last
        }
        // Said once more, and by hand.
        const started = Math.max(billing === 'hour' ? 1 : 0, Math.ceil(lifeMs / HOUR_MS))
        for (let n = 0; n < started; n++) {
          const cutMs = Math.min(HOUR_MS, lifeMs - n * HOUR_MS)
          paid += billing === 'hour' ? (prices[n] ?? 0) : Math.ceil(((prices[n] ?? 0) * cutMs) / HOUR_MS)
        }
      }
      assert.equal(cost + idle, paid)
    }),
    { numRuns: 500 },
  )
})
