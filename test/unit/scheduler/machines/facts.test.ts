import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { WaitingJobs } from '#store/machine-facts.ts'
import { groupWaiting, withoutRoom } from '../../../../scheduler/machines/facts.ts'
import { nextOffer } from '../../../../scheduler/machines/offers.ts'
import type { Waiting } from '../../../../scheduler/plan/plan.ts'
import { anOffer } from '../../../harness/machines/provider.ts'

const jobs = (change: Partial<WaitingJobs> = {}): WaitingJobs => ({
  projectId: 'p',
  image: 'i',
  slots: 1,
  memoryBytes: 100,
  jobs: 1,
  oldestWaitSeconds: 0,
  ...change,
})
const waiting = (change: Partial<Waiting> = {}): Waiting => ({
  slots: 1,
  memoryBytes: 100,
  archs: ['amd64'],
  jobs: 1,
  oldestWaitSeconds: 0,
  expectedSeconds: 60,
  ...change,
})

test('jobs of one size that last about as long are one kind', () => {
  const seconds: Record<string, number> = { short: 10, similar: 11, long: 1000 }
  const groups = groupWaiting(
    [
      jobs({ image: 'short', jobs: 3, oldestWaitSeconds: 5 }),
      jobs({ image: 'similar', oldestWaitSeconds: 50 }),
      jobs({ image: 'long' }),
      jobs({ image: 'short', slots: 2 }),
    ],
    ['amd64'],
    (_, image) => seconds[image ?? ''] ?? 60,
  )
  assert.deepEqual(
    groups.map((group) => [group.slots, group.jobs, group.oldestWaitSeconds, group.expectedSeconds]),
    [
      [1, 4, 50, 10.25],
      [1, 1, 0, 1000],
      [2, 1, 0, 10],
    ],
  )
})

for (const { what, room, left } of [
  { what: 'nothing is free', room: [], left: [5, 5] },
  { what: 'three slots are free', room: [{ arch: 'amd64', slots: 3, memoryBytes: 1000 }], left: [2, 5] },
  { what: 'there is less memory than slots', room: [{ arch: 'amd64', slots: 3, memoryBytes: 250 }], left: [3, 5] },
  { what: 'it is of another architecture', room: [{ arch: 'arm64', slots: 3, memoryBytes: 1000 }], left: [5, 5] },
  {
    what: 'there is room on several nodes',
    room: [
      { arch: 'amd64', slots: 4, memoryBytes: 1000 },
      { arch: 'amd64', slots: 5, memoryBytes: 1000 },
    ],
    left: [3],
  },
] as const) {
  test(`of what waits, what fits on nodes set up by hand is left out when ${what}`, () => {
    const rest = withoutRoom([waiting({ jobs: 5 }), waiting({ slots: 2, jobs: 5 })], room)
    assert.deepEqual(
      rest.map((group) => group.jobs),
      left,
    )
  })
}

test('the next offer is available, of the same architecture, no smaller, and was not tried', () => {
  const offers = [
    anOffer({ location: 'tried' }),
    anOffer({ location: 'empty', available: false }),
    anOffer({ location: 'arm', arch: 'arm64' }),
    anOffer({ location: 'small', slots: 1 }),
    anOffer({ location: 'narrow', memoryBytes: 1 }),
    anOffer({ location: 'good', slots: 4 }),
  ]
  assert.equal(nextOffer(offers, anOffer(), [{ serverType: 'small', location: 'tried' }])?.location, 'good')
  assert.equal(nextOffer(offers.slice(0, 5), anOffer(), [{ serverType: 'small', location: 'tried' }]), undefined)
})
