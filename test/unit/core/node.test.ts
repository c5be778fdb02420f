import assert from 'node:assert/strict'
import { test } from 'node:test'
import { canNodeGo, NODE_STATES, type NodeState, PAID_NODE_STATES } from '#core/node.ts'

const ENDS: readonly NodeState[] = ['gone', 'failed']
const next = (from: NodeState) => NODE_STATES.filter((to) => canNodeGo(from, to))

test('a node leaves no end, and can come to one from every other state', () => {
  for (const end of ENDS) assert.deepEqual(next(end), [])
  for (const state of NODE_STATES) {
    const reached = new Set<NodeState>([state])
    for (const from of reached) for (const to of next(from)) reached.add(to)
    assert.ok(
      ENDS.some((end) => reached.has(end)),
      state,
    )
  }
})

test('a machine that may be paid for fails only after it was deleted, or was never made', () => {
  for (const state of PAID_NODE_STATES) assert.equal(canNodeGo(state, 'failed'), state === 'deleting' || state === 'creating', state)
})

test('what is being deleted never takes work again, and nothing works that did not boot', () => {
  assert.deepEqual(next('deleting'), ENDS)
  for (const working of ['ready', 'draining', 'lost'] as const)
    for (const from of ['planned', 'creating'] as const) assert.equal(canNodeGo(from, working), false)
})
