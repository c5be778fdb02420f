import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planJobs } from '../../chaos/jobs.ts'
import { DISTURBANCES, planDisturbances } from '../../chaos/schedule.ts'

const PLAN = { durationMs: 300_000, leaseMs: 6000, gateways: 2, schedulers: 2, runners: 3 }
const SEEDS = Array.from({ length: 50 }, (_, seed) => seed)

test('a seed gives the same schedule and the same jobs each time, another seed others', () => {
  for (const seed of SEEDS) assert.deepEqual(planDisturbances({ ...PLAN, seed }), planDisturbances({ ...PLAN, seed }))
  assert.deepEqual(planJobs(7, 100, 60_000), planJobs(7, 100, 60_000))
  assert.notDeepEqual(planDisturbances({ ...PLAN, seed: 1 }), planDisturbances({ ...PLAN, seed: 2 }))
  assert.notDeepEqual(planJobs(1, 100, 60_000), planJobs(2, 100, 60_000))
})

test('in five minutes everything happens, in one minute most of it; all is over in time', () => {
  for (const seed of SEEDS) {
    for (const [durationMs, fewest] of [
      [300_000, DISTURBANCES.length],
      [60_000, 9],
    ] as const) {
      const schedule = planDisturbances({ ...PLAN, durationMs, seed })
      assert.ok(new Set(schedule.map(({ kind }) => kind)).size >= fewest, `seed ${seed}`)
      for (const { atMs, forMs, kind } of schedule) assert.ok(atMs + forMs <= durationMs, `seed ${seed}: ${kind}`)
    }
  }
})

test('a pause and a cut are longer than the lease, so that the node is lost', () => {
  const long = planDisturbances({ ...PLAN, seed: 3 }).filter(({ kind }) => ['pause-runner', 'cut-network', 'stop-runner-for-long'].includes(kind))
  assert.ok(long.length > 0)
  for (const { forMs } of long) assert.ok(forMs > PLAN.leaseMs)
})

test('every kind of job is among the first dozen', () => {
  const kinds = new Set(planJobs(5, 12, 1000).map(({ kind }) => kind))
  assert.deepEqual([...kinds].sort(), ['cancelled', 'failing', 'lines', 'long', 'outputs', 'retrying', 'short', 'timeout'])
})
