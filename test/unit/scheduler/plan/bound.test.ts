import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { lowerBound } from '../../../sim/bound.ts'
import { priceBound } from '../../../sim/price-bound.ts'
import { RIVALS } from '../../../sim/rivals.ts'
import { WORLD } from '../../../sim/setting.ts'
import { stabBound } from '../../../sim/stab-bound.ts'
import type { Arrival } from '../../../sim/trace.ts'
import { parseTrace } from '../../../sim/trace-file.ts'
import { simulate } from '../../../sim/world.ts'

const OPTIONS = { waitSeconds: 90, slots: 2 }
const job = (atSeconds: number, durationSeconds = 60, slots = 1): Arrival => ({ atSeconds, slots, memoryBytes: 1, durationSeconds })

test('hours that are surely needed', () => {
  assert.equal(stabBound([job(0)], OPTIONS), 1)
  assert.equal(stabBound([job(0), job(3689)], OPTIONS), 1, 'one hour, begun 90 s after the first, reaches both')
  assert.equal(stabBound([job(0), job(3691)], OPTIONS), 2)
  assert.equal(
    stabBound(
      [0, 0, 0, 0, 0].map((at) => job(at, 100)),
      OPTIONS,
    ),
    3,
    'longer than they may wait: five at once',
  )
  assert.equal(
    stabBound(
      [0, 0, 0, 0].map((at) => job(at, 50)),
      OPTIONS,
    ),
    1,
    'one after the other, two in each slot',
  )
  assert.equal(
    stabBound(
      [0, 0, 0, 0, 0].map((at) => job(at, 50)),
      OPTIONS,
    ),
    2,
  )
})

test('prices find what the work alone does not: a crowd each hour needs machines that are idle in between', () => {
  const crowds = Array.from({ length: 10 }, (_, hour) => Array.from({ length: 8 }, () => job(hour * 3600, 600))).flat()
  const work = crowds.reduce((sum, { durationSeconds }) => sum + durationSeconds, 0) / 7200
  assert.ok(priceBound(crowds, OPTIONS) > 2 * work)
})

test('no schedule is cheaper than the bound for the longest wait that it has', () => {
  const arrivals = fc.array(fc.tuple(fc.integer({ min: 0, max: 20_000 }), fc.integer({ min: 1, max: 900 }), fc.integer({ min: 1, max: 2 })), {
    minLength: 1,
    maxLength: 60,
  })
  fc.assert(
    fc.property(arrivals, fc.constantFrom(...Object.values(RIVALS)), (some, { plan, policy }) => {
      const trace = { name: '', about: '', arrivals: some.map(([at, seconds, slots]) => job(at, seconds, slots)).sort((a, b) => a.atSeconds - b.atSeconds) }
      const outcome = simulate(trace, plan, { ...WORLD, policy: { ...WORLD.policy, ...policy } })
      const waitSeconds = Math.max(...outcome.waits)
      assert.ok(outcome.paidHours >= lowerBound(trace.arrivals, { waitSeconds, slots: 2 }))
    }),
    { numRuns: 60 },
  )
})

test('traces are read from CSV, and what is wrong is named', () => {
  const head = 'at_seconds,slots,memory,duration_seconds'
  assert.deepEqual(parseTrace(`${head}\n20,1,5,3.5\n10,2,6,4\n`), [
    { atSeconds: 10, slots: 2, memoryBytes: 6, durationSeconds: 4 },
    { atSeconds: 20, slots: 1, memoryBytes: 5, durationSeconds: 3.5 },
  ])
  assert.throws(() => parseTrace('a,b\n'), /line 1: the columns are to be at_seconds/)
  assert.throws(() => parseTrace(`${head}\n1,2,3\n`), /line 2: 3 columns/)
  assert.throws(() => parseTrace(`${head}\n1,x,3,4\n`), /line 2: slots is no fitting number: x/)
  assert.throws(() => parseTrace(`${head}\n1,1.5,3,4\n`), /line 2: slots is no whole number/)
})
