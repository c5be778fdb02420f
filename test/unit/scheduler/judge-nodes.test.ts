import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Cause } from '#core/job/state.ts'
import type { FleetNode, NodeFault } from '#store/cordons.ts'
import { judgeNodes } from '../../../scheduler/reaper/judge-nodes.ts'

const LIMIT = 3
const aNode = (nodeId: string, change: Partial<FleetNode> = {}): FleetNode => ({ nodeId, working: true, cordoned: false, jobsDone: 0, ...change })
const cordoned = { working: false, cordoned: true }
const lost = { working: false }
/** Faults of a node, one a job, so many seconds apart. */
const faults = (nodeId: string, jobs: number, cause: Cause = 'runner_error', apartSeconds = 1): NodeFault[] =>
  Array.from({ length: jobs }, (_, i) => ({ nodeId, jobId: `job_${nodeId}${i}`, cause, atMs: i * apartSeconds * 1000 }))
const sameJob = (nodeId: string, times: number) => faults(nodeId, times).map((fault) => ({ ...fault, jobId: 'job_x' }))
const three = [aNode('a'), aNode('b'), aNode('c')]
const nine = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'].map((id) => aNode(id))

for (const [what, fleet, found, expected] of [
  ['nothing fails', three, [], []],
  ['three jobs fail on one of three nodes', three, faults('a', 3), ['a']],
  ['two jobs do', three, faults('a', 2), []],
  ['one job fails there again and again', three, sameJob('a', 9), []],
  ['three jobs are lost at once', three, faults('a', 3, 'lost'), []],
  ['three machines’ worth of jobs are lost, one time each', three, faults('a', 3, 'lost', 60), ['a']],
  ['it is restarted three times', three, faults('a', 3, 'interrupted', 60), ['a']],
  ['it is lost, and then fails two', three, [...faults('a', 9, 'lost'), ...faults('a', 12).slice(10)], ['a']],
  ['as many do well there as fail', [aNode('a', { jobsDone: 3 }), aNode('b')], faults('a', 3), ['a']],
  ['more do well there than fail', [aNode('a', { jobsDone: 4 }), aNode('b')], faults('a', 3), []],
  ['the only node', [aNode('a')], faults('a', 9), 'held'],
  ['one of two', [aNode('a'), aNode('b')], faults('a', 3), ['a']],
  ['both of two', [aNode('a'), aNode('b')], [...faults('a', 3), ...faults('b', 3)], 'held'],
  ['two of three', three, [...faults('a', 3), ...faults('b', 3)], 'held'],
  ['three of nine', nine, ['a', 'b', 'c'].flatMap((id) => faults(id, 3)), ['a', 'b', 'c']],
  ['four of nine', nine, ['a', 'b', 'c', 'd'].flatMap((id) => faults(id, 3)), 'held'],
  ['a second of three, when one is cordoned', [aNode('a', cordoned), aNode('b'), aNode('c')], faults('b', 3), 'held'],
  ['one that is cordoned already', [aNode('a', cordoned), aNode('b')], faults('a', 3), []],
  ['one that is lost just now', [aNode('a', lost), aNode('b')], faults('a', 3, 'lost', 60), ['a']],
  ['the last that works', [aNode('a'), aNode('b', cordoned)], faults('a', 3), 'held'],
  ['a node that is not there any more', three, faults('z', 9), []],
] as const satisfies readonly (readonly [string, readonly FleetNode[], readonly NodeFault[], readonly string[] | 'held'])[]) {
  test(`${what}: ${expected === 'held' ? 'nobody is cordoned, and it is told' : expected.length === 0 ? 'nobody is cordoned' : `${expected.join(', ')} cordoned`}`, () => {
    const judged = judgeNodes(fleet, found, LIMIT)
    assert.deepEqual(
      judged.cordon.map(({ nodeId }) => nodeId),
      expected === 'held' ? [] : expected,
    )
    assert.equal(judged.held, expected === 'held')
  })
}

test('the reason says how many jobs, of what, and which was the last', () => {
  const [verdict] = judgeNodes(three, [...faults('a', 2), ...faults('a', 4, 'lost', 60).slice(2)], LIMIT).cordon
  assert.equal(verdict?.reason, 'cordoned: 4 jobs failed here and did well elsewhere (lost, runner_error); the last was job_a3')
})

test('a limit of 0 cordons nobody', () => {
  assert.deepEqual(judgeNodes(three, faults('a', 100), 0), { cordon: [], held: false })
})

test('whatever fails: a third of the fleet or one node at most, one that works stays, none without faults, and order is nothing', () => {
  const id = fc.integer({ min: 0, max: 11 }).map((i) => `n${i}`)
  const node = fc.record({
    nodeId: id,
    state: fc.constantFrom({ working: true, cordoned: false }, lost, cordoned),
    jobsDone: fc.integer({ min: 0, max: 6 }),
  })
  const fault = fc.record({
    nodeId: id,
    jobId: fc.integer({ min: 0, max: 30 }).map((i) => `job_${i}`),
    cause: fc.constantFrom<Cause>('runner_error', 'lost', 'interrupted'),
    atMs: fc.integer({ min: 0, max: 900_000 }),
  })
  const fleets = fc.uniqueArray(node, { selector: ({ nodeId }) => nodeId, maxLength: 12 })
  fc.assert(
    fc.property(fleets, fc.array(fault, { maxLength: 80 }), fc.integer({ min: 1, max: 6 }), (nodes, found, limit) => {
      const fleet = nodes.map(({ nodeId, state, jobsDone }) => ({ nodeId, jobsDone, cordoned: false, ...state }))
      const { cordon, held } = judgeNodes(fleet, found, limit)
      const ids = cordon.map(({ nodeId }) => nodeId)
      assert.ok(!held || ids.length === 0)
      if (ids.length > 0) {
        assert.ok(fleet.filter((one) => one.cordoned).length + ids.length <= Math.max(1, Math.floor(fleet.length / 3)))
        assert.ok(fleet.some((one) => one.working && !ids.includes(one.nodeId)))
      }
      for (const nodeId of ids) {
        assert.ok(!fleet.find((one) => one.nodeId === nodeId)?.cordoned)
        assert.ok(new Set(found.filter((one) => one.nodeId === nodeId).map(({ jobId }) => jobId)).size >= limit)
      }
      assert.deepEqual(new Set(judgeNodes(fleet.toReversed(), found, limit).cordon.map(({ nodeId }) => nodeId)), new Set(ids))
    }),
  )
})
