import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { planClaims } from '../../../scheduler/plan-claims.ts'

const GI = 2 ** 30

test('jobs go in their order, each to the node with the most room', () => {
  const picks = planClaims(
    [
      { nodeId: 'a', slots: 1, memoryBytes: 4 * GI },
      { nodeId: 'b', slots: 2, memoryBytes: 4 * GI },
    ],
    [
      { nodeId: 'a', freeSlots: 1, freeMemoryBytes: 4 * GI },
      { nodeId: 'b', freeSlots: 2, freeMemoryBytes: 4 * GI },
    ],
    ['1', '2', '3', '4'].map((jobId) => ({ jobId, slots: 1, memoryBytes: GI })),
  )
  assert.deepEqual(
    picks.map((pick) => [pick.jobId, pick.nodeId]),
    [
      ['1', 'b'],
      ['2', 'a'],
      ['3', 'b'],
    ],
  )
})

test('a node that says it has more than the database knows gets what the database knows', () => {
  const picks = planClaims(
    [{ nodeId: 'liar', slots: 1000, memoryBytes: 1000 * GI }],
    [{ nodeId: 'liar', freeSlots: 1, freeMemoryBytes: GI }],
    [
      { jobId: 'big', slots: 1, memoryBytes: 2 * GI },
      { jobId: 'small', slots: 1, memoryBytes: GI },
      { jobId: 'next', slots: 1, memoryBytes: 1 },
    ],
  )
  assert.deepEqual(
    picks.map((pick) => pick.jobId),
    ['small'],
  )
})

test('a node that is not in the database (lost, draining) gets nothing', () => {
  assert.deepEqual(planClaims([{ nodeId: 'gone', slots: 2, memoryBytes: GI }], [], [{ jobId: 'x', slots: 1, memoryBytes: 1 }]), [])
})

test('no plan gives a node more than it has, or a job twice', () => {
  const node = fc.record({
    freeSlots: fc.integer({ min: -2, max: 8 }),
    freeMemoryBytes: fc.integer({ min: -10, max: 100 }),
    asked: fc.integer({ min: 1, max: 8 }),
  })
  const job = fc.record({ slots: fc.integer({ min: 1, max: 4 }), memoryBytes: fc.integer({ min: 1, max: 50 }) })
  fc.assert(
    fc.property(fc.array(node, { maxLength: 5 }), fc.array(job, { maxLength: 20 }), (nodes, jobs) => {
      const capacity = nodes.map((n, i) => ({ nodeId: `n${i}`, freeSlots: n.freeSlots, freeMemoryBytes: n.freeMemoryBytes }))
      const wishes = nodes.map((n, i) => ({ nodeId: `n${i}`, slots: n.asked, memoryBytes: 1000 }))
      const candidates = jobs.map((j, i) => ({ jobId: `j${i}`, ...j }))
      const picks = planClaims(wishes, capacity, candidates)
      assert.equal(new Set(picks.map((pick) => pick.jobId)).size, picks.length)
      assert.equal(new Set(picks.map((pick) => pick.leaseToken)).size, picks.length)
      for (const [i, n] of nodes.entries()) {
        const own = picks.filter((pick) => pick.nodeId === `n${i}`).map((pick) => candidates.find((c) => c.jobId === pick.jobId))
        const slots = own.reduce((sum, j) => sum + (j?.slots ?? 0), 0)
        const memory = own.reduce((sum, j) => sum + (j?.memoryBytes ?? 0), 0)
        assert.ok(slots <= Math.max(0, Math.min(n.freeSlots, n.asked)))
        assert.ok(memory <= Math.max(0, n.freeMemoryBytes))
      }
    }),
  )
})
