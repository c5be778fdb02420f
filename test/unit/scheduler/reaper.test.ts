import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mayReap } from '../../../scheduler/reaper/leases.ts'

const LEASE = 15_000
const NOW = 1_000_000

for (const [what, connectedSince, nodes, silent, expected] of [
  ['one of ten nodes is silent', 0, 10, 1, true],
  ['half of the nodes are silent', 0, 10, 5, true],
  ['most nodes fell silent at once', 0, 10, 6, false],
  ['all of three nodes are silent', 0, 3, 3, false],
  ['the only node is silent', 0, 1, 1, true],
  ['both nodes are silent: too few to blame the bus', 0, 2, 2, true],
  ['this process is cut off', undefined, 10, 1, false],
  ['this process was cut off a moment ago', NOW - 1000, 10, 1, false],
  ['this process is back for a whole lease', NOW - LEASE, 10, 1, true],
] as const) {
  test(`${what}: ${expected ? 'reap' : 'hold fire'}`, () => {
    assert.equal(mayReap(NOW, LEASE, connectedSince, nodes, silent), expected)
  })
}
