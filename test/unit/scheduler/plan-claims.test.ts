import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { NodeCapacity, QueuedJob } from '#store/claims.ts'
import { planClaims, searchElsewhere } from '../../../scheduler/plan-claims.ts'

const GI = 2 ** 30
const PYTHON = 'docker.io/library/python:3.12'

const aNode = (nodeId: string, change: Partial<NodeCapacity> = {}): NodeCapacity => ({
  nodeId,
  freeSlots: 2,
  freeMemoryBytes: 4 * GI,
  ageSeconds: null,
  images: [],
  ...change,
})
const aJob = (jobId: string, change: Partial<QueuedJob> = {}): QueuedJob => ({
  jobId,
  slots: 1,
  memoryBytes: GI,
  image: 'python:3.12',
  mostSeconds: 60,
  avoid: [],
  ...change,
})
const aWish = (nodeId: string, slots = 2) => ({ nodeId, slots, memoryBytes: 4 * GI })
const MAY = { mayLeave: () => true, lifetimeSeconds: 3600 }
const given = (plan: ReturnType<typeof planClaims>) => plan.picks.map((pick) => [pick.jobId, pick.nodeId])
const left = (plan: ReturnType<typeof planClaims>) => plan.leaves.map((leave) => [leave.jobId, leave.nodeId])

test('jobs go in their order, each to the node with the most room', () => {
  const plan = planClaims(
    [aWish('a', 1), aWish('b', 2)],
    [aNode('a', { freeSlots: 1 }), aNode('b')],
    ['1', '2', '3', '4'].map((jobId) => aJob(jobId)),
  )
  assert.deepEqual(given(plan), [
    ['1', 'b'],
    ['2', 'a'],
    ['3', 'b'],
  ])
})

test('a node that says it has more than the database knows gets what the database knows', () => {
  const plan = planClaims(
    [{ nodeId: 'liar', slots: 1000, memoryBytes: 1000 * GI }],
    [aNode('liar', { freeSlots: 1, freeMemoryBytes: GI })],
    [aJob('big', { memoryBytes: 2 * GI }), aJob('small'), aJob('next', { memoryBytes: 1 })],
  )
  assert.deepEqual(given(plan), [['small', 'liar']])
})

test('a node that is not in the database (lost, draining) gets nothing', () => {
  assert.deepEqual(planClaims([aWish('gone')], [], [aJob('x')]), { picks: [], leaves: [] })
})

test('of the nodes that ask, one that has the image comes before one with more room', () => {
  const nodes = [aNode('roomy'), aNode('warm', { freeSlots: 1, images: [PYTHON] })]
  const plan = planClaims([aWish('roomy'), aWish('warm')], nodes, [aJob('1'), aJob('2'), aJob('other', { image: 'node:24' })])
  // The second does not wait for the warm one to have room again.
  assert.deepEqual(given(plan), [
    ['1', 'warm'],
    ['2', 'roomy'],
    ['other', 'roomy'],
  ])
})

test('a job whose image a node elsewhere has is left to that one, as far as its room goes', () => {
  const hints = { ...MAY, elsewhere: [aNode('warm', { freeSlots: 1, images: [PYTHON] })] }
  const plan = planClaims([aWish('cold')], [aNode('cold')], [aJob('1'), aJob('2')], hints)
  assert.deepEqual(left(plan), [['1', 'warm']])
  assert.deepEqual(given(plan), [['2', 'cold']])
})

test('a job that was left once goes to whoever asks next', () => {
  const hints = { elsewhere: [aNode('warm', { images: [PYTHON] })], mayLeave: (jobId: string) => jobId !== '1', lifetimeSeconds: 3600 }
  const plan = planClaims([aWish('cold')], [aNode('cold')], [aJob('1'), aJob('2')], hints)
  assert.deepEqual(given(plan), [['1', 'cold']])
  assert.deepEqual(left(plan), [['2', 'warm']])
})

test('a job goes to a node that lives long enough for it, with or without its image', () => {
  const job = aJob('1', { mostSeconds: 1800 })
  const nodes = [aNode('old', { ageSeconds: 3000, images: [PYTHON], freeSlots: 8 }), aNode('young', { ageSeconds: 100, freeSlots: 1 })]
  assert.deepEqual(given(planClaims([aWish('old', 8), aWish('young')], nodes, [job], MAY)), [['1', 'young']])
  const [old, young] = nodes as [NodeCapacity, NodeCapacity]
  assert.deepEqual(left(planClaims([aWish('old')], [old], [job], { ...MAY, elsewhere: [young] })), [['1', 'young']])
  // One that was set up by hand is deleted by nobody.
  assert.deepEqual(left(planClaims([aWish('old')], [old], [job], { ...MAY, elsewhere: [aNode('by-hand')] })), [['1', 'by-hand']])
})

test('a node that is too old for a job takes it all the same when no other can: it is kept while it runs', () => {
  const old = aNode('old', { ageSeconds: 3599 })
  assert.deepEqual(given(planClaims([aWish('old')], [old], [aJob('1', { mostSeconds: 1800 })], MAY)), [['1', 'old']])
  const full = aNode('young', { ageSeconds: 0, freeSlots: 0 })
  assert.deepEqual(given(planClaims([aWish('old')], [old], [aJob('1', { mostSeconds: 1800 })], { ...MAY, elsewhere: [full] })), [['1', 'old']])
})

test('a job that takes longer than any machine lives is left to nobody', () => {
  const job = aJob('1', { mostSeconds: 86_400, image: 'rare' })
  const old = aNode('old', { ageSeconds: 3000 })
  assert.deepEqual(given(planClaims([aWish('old')], [old], [job], { ...MAY, elsewhere: [aNode('young', { ageSeconds: 0 })] })), [['1', 'old']])
  assert.deepEqual(searchElsewhere([{ ...old, images: ['docker.io/library/rare:latest'] }], [job], 3600), undefined)
})

test('others are looked for only when whoever asked lacks an image or the life', () => {
  const node = aNode('n', { ageSeconds: 600, images: [PYTHON] })
  assert.equal(searchElsewhere([node], [aJob('1'), aJob('2')], 3600), undefined)
  assert.deepEqual(searchElsewhere([node], [aJob('1', { image: 'node:24' }), aJob('2', { image: 'docker.io/library/node:24' })], 3600), {
    images: ['docker.io/library/node:24'],
    maxAgeSeconds: null,
  })
  assert.deepEqual(searchElsewhere([node], [aJob('1', { mostSeconds: 3500 }), aJob('2', { mostSeconds: 3100 })], 3600), { images: [], maxAgeSeconds: 500 })
})

test('a job goes to no node that it is to avoid: to another that asks, or it stays in the queue', () => {
  const nodes = [aNode('sick', { freeSlots: 8, images: [PYTHON] }), aNode('well', { freeSlots: 1 })]
  const jobs = [aJob('1', { avoid: ['sick'] }), aJob('2', { avoid: ['sick'] }), aJob('3')]
  assert.deepEqual(given(planClaims([aWish('sick', 8), aWish('well')], nodes, jobs)), [
    ['1', 'well'],
    ['3', 'sick'],
  ])
  const only = [aNode('sick'), aNode('other')]
  assert.deepEqual(given(planClaims([aWish('sick')], only, [aJob('1', { avoid: ['sick', 'other'] })])), [['1', 'sick']], 'no other could take it')
})

test('a job is not left to a node that it is to avoid, and such a one does not keep others from being looked for', () => {
  const sick = aNode('sick', { images: [PYTHON] })
  const job = aJob('1', { avoid: ['sick'] })
  assert.deepEqual(given(planClaims([aWish('well')], [aNode('well')], [job], { ...MAY, elsewhere: [sick] })), [['1', 'well']])
  assert.deepEqual(searchElsewhere([sick, aNode('well')], [job], 3600), { images: [PYTHON], maxAgeSeconds: null })
})

test('no plan gives a node more than it has, or a job twice', () => {
  const node = fc.record({
    freeSlots: fc.integer({ min: -2, max: 8 }),
    freeMemoryBytes: fc.integer({ min: -10, max: 100 }),
    asked: fc.integer({ min: 1, max: 8 }),
    ageSeconds: fc.option(fc.integer({ min: 0, max: 4000 })),
    images: fc.subarray([PYTHON, 'docker.io/library/node:24']),
  })
  const job = fc.record({
    slots: fc.integer({ min: 1, max: 4 }),
    memoryBytes: fc.integer({ min: 1, max: 50 }),
    mostSeconds: fc.integer({ min: 1, max: 5000 }),
    image: fc.constantFrom('python:3.12', 'node:24'),
    avoid: fc.subarray(['n0', 'n1', 'e0']),
  })
  fc.assert(
    fc.property(fc.array(node, { maxLength: 5 }), fc.array(node, { maxLength: 3 }), fc.array(job, { maxLength: 20 }), (nodes, others, jobs) => {
      const capacity = nodes.map((n, i) => aNode(`n${i}`, n))
      const elsewhere = others.map((n, i) => aNode(`e${i}`, n))
      const wishes = nodes.map((n, i) => ({ nodeId: `n${i}`, slots: n.asked, memoryBytes: 1000 }))
      const candidates = jobs.map((j, i) => aJob(`j${i}`, j))
      const avoids = (j: QueuedJob | undefined, nodeId: string) => j?.avoid.includes(nodeId) && capacity.some((n) => !j.avoid.includes(n.nodeId))
      const { picks, leaves } = planClaims(wishes, capacity, candidates, { ...MAY, elsewhere })
      assert.equal(new Set([...picks, ...leaves].map((of) => of.jobId)).size, picks.length + leaves.length)
      assert.equal(new Set(picks.map((pick) => pick.leaseToken)).size, picks.length)
      const within = (own: (QueuedJob | undefined)[], slots: number, memoryBytes: number) => {
        assert.ok(own.reduce((sum, j) => sum + (j?.slots ?? 0), 0) <= Math.max(0, slots))
        assert.ok(own.reduce((sum, j) => sum + (j?.memoryBytes ?? 0), 0) <= Math.max(0, memoryBytes))
      }
      const of = (list: readonly { nodeId: string; jobId: string }[], nodeId: string) =>
        list.filter((entry) => entry.nodeId === nodeId).map((entry) => candidates.find((c) => c.jobId === entry.jobId))
      for (const [i, n] of nodes.entries()) within(of(picks, `n${i}`), Math.min(n.freeSlots, n.asked), n.freeMemoryBytes)
      for (const [i, n] of others.entries()) within(of(leaves, `e${i}`), n.freeSlots, n.freeMemoryBytes)
      for (const { jobId, nodeId } of [...picks, ...leaves])
        assert.ok(
          !avoids(
            candidates.find((c) => c.jobId === jobId),
            nodeId,
          ),
        )
      // What is neither given nor left fits on no node that asked.
      for (const j of candidates.filter(({ jobId }) => ![...picks, ...leaves].some((entry) => entry.jobId === jobId)))
        for (const [i, n] of nodes.entries()) {
          const used = of(picks, `n${i}`).reduce((sum, other) => sum + (other?.slots ?? 0), 0)
          const memory = of(picks, `n${i}`).reduce((sum, other) => sum + (other?.memoryBytes ?? 0), 0)
          const earlier = Math.min(n.freeSlots, n.asked) - used >= j.slots && Math.min(n.freeMemoryBytes, 1000) - memory >= j.memoryBytes
          assert.ok(!earlier || avoids(j, `n${i}`), `${j.jobId} fits n${i}`)
        }
    }),
  )
})
