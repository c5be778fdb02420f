import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import type { NodeFacts, PlanInput, Waiting } from '../../scheduler/plan/plan.ts'
import { planMachines } from '../../scheduler/plan/plan-machines.ts'
import { createRandom, type Random } from './random.ts'
import { quantile } from './report.ts'
import { OFFER, POLICY } from './setting.ts'

const NODES = 10_000
const JOBS = 1_000_000
const ROUNDS = 50
const GI = 2 ** 30
const NOW_MS = Date.UTC(2026, 0, 1)

/** Prints how long one round of the planner takes at 10,000 nodes and 1,000,000 jobs, and what it adds to the heap. */
export function measureScale(): void {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  for (const sizes of [4, 100, 5000]) {
    for (const busy of [true, false]) {
      const input = inputOf(sizes, busy)
      const times: number[] = []
      for (let round = 0; round < 5; round++) planMachines(input)
      collect()
      const before = process.memoryUsage().heapUsed
      let most = 0
      for (let round = 0; round < ROUNDS; round++) {
        const beganMs = performance.now()
        planMachines(input)
        times.push(performance.now() - beganMs)
        most = Math.max(most, process.memoryUsage().heapUsed - before)
      }
      collect()
      const kept = process.memoryUsage().heapUsed - before
      const what = `${NODES} nodes ${busy ? 'busy' : 'with room'}, ${JOBS} jobs of ${sizes} sizes`
      const heap = `heap at most +${(most / 2 ** 20).toFixed(0)} MiB, kept ${(kept / 2 ** 20).toFixed(1)} MiB`
      console.log(`${what.padEnd(58)} median ${quantile(times, 0.5).toFixed(1)} ms, p99 ${quantile(times, 0.99).toFixed(1)} ms; ${heap}`)
    }
  }
}

function inputOf(sizes: number, busy: boolean): PlanInput {
  const random = createRandom(sizes)
  const waiting: Waiting[] = Array.from({ length: sizes }, (_, i) => ({
    slots: 1 + (i % 16),
    memoryBytes: GI / 4 + i * 2 ** 20,
    archs: i % 3 === 0 ? ['amd64', 'arm64'] : ['amd64'],
    jobs: JOBS / sizes,
    oldestWaitSeconds: random.between(0, 600),
    expectedSeconds: random.between(5, 600),
  }))
  const offers = [2, 4, 8, 16].flatMap((slots) =>
    ['fsn1', 'nbg1', 'hel1'].map((location) => ({
      ...OFFER,
      serverType: `cx${slots}`,
      location,
      slots,
      memoryBytes: slots * 2 * GI,
      hourMicrons: slots * 4000,
    })),
  )
  const nodes = Array.from({ length: NODES }, (_, i) => nodeOf(i, busy, random))
  return { nowMs: NOW_MS, waiting, nodes, offers, policy: { ...POLICY, maxNodes: NODES + 500, burst: 100 }, boughtAtMs: NOW_MS - 10_000 }
}

function nodeOf(i: number, busy: boolean, random: Random): NodeFacts {
  const slots = 2 ** (1 + (i % 4))
  const usedSlots = busy ? slots - (i % 2) : Math.floor(random.next() * slots)
  return {
    nodeId: `node_${i}`,
    state: i % 50 === 0 ? 'booting' : i % 20 === 0 ? 'draining' : 'ready',
    serverType: `cx${slots}`,
    location: 'fsn1',
    arch: i % 5 === 0 ? 'arm64' : 'amd64',
    slots,
    memoryBytes: slots * 2 * GI,
    usedSlots: i % 50 === 0 ? 0 : usedSlots,
    usedMemoryBytes: i % 50 === 0 ? 0 : usedSlots * GI,
    busyUntilMs: usedSlots === 0 || i % 50 === 0 ? null : NOW_MS + random.between(1000, 600_000),
    billedFromMs: NOW_MS - random.between(0, 7_200_000) * (i % 50 === 0 ? 0.005 : 1),
    hourMicrons: slots * 4000,
    stateAtMs: NOW_MS - 30_000,
    idleSinceMs: usedSlots === 0 ? NOW_MS - 60_000 : null,
    drainRequested: false,
  }
}
