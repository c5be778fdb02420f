import assert from 'node:assert/strict'
import { test } from 'node:test'
import { tripsBreaker } from '../../../scheduler/reaper/leases.ts'

for (const [what, nodes, silent, expected] of [
  ['one of ten nodes is silent', 10, 1, false],
  ['half of the nodes are silent', 10, 5, false],
  ['most nodes fell silent at once', 10, 6, true],
  ['all of three nodes are silent', 3, 3, true],
  ['the only node is silent', 1, 1, false],
  ['both nodes are silent: too few to blame the bus', 2, 2, false],
] as const) {
  test(`${what}: ${expected ? 'hold fire' : 'reap'}`, () => assert.equal(tripsBreaker(nodes, silent), expected))
}
