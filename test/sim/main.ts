import { parseArgs } from 'node:util'
import { lowerBound } from './bound.ts'
import { BLIND_WAIT_SECONDS, type Bounds, describe, GOAL, HEAD, rowOf, rowOfBound } from './report.ts'
import { RIVALS } from './rivals.ts'
import { measureScale } from './scale.ts'
import { OFFER, WORLD } from './setting.ts'
import { type Arrival, shippedTraces, type Trace } from './trace.ts'
import { readTrace } from './trace-file.ts'
import { simulate } from './world.ts'

/**
 * `npm run sim -- [--trace file.csv] [--only name] [--seed N] [--scale]`: 30 days of arrivals against the real planner and what
 * it is compared with, beside what any schedule would have to pay (docs/AUTOSCALER.md). `--scale`: how long one round takes.
 */
const { values } = parseArgs({
  options: { trace: { type: 'string' }, only: { type: 'string' }, seed: { type: 'string', default: '1' }, scale: { type: 'boolean', default: false } },
})
if (values.scale) measureScale()
else {
  const traces = values.trace ? [readTrace(values.trace, OFFER)] : shippedTraces(Number(values.seed))
  for (const trace of traces) if (!values.only || values.only === trace.name) replay(trace)
}

function replay(trace: Trace): void {
  console.log(`${trace.name}: ${trace.about}\n${HEAD}`)
  let shared: Bounds | undefined
  let ours = ''
  for (const [name, { plan, policy }] of Object.entries(RIVALS)) {
    const outcome = simulate(trace, plan, { ...WORLD, policy: { ...WORLD.policy, ...policy } })
    // The adversary answers what a planner does, so there each has arrivals of its own.
    const bounds = trace.onGone || !shared ? boundsOf(outcome.arrivals) : shared
    shared ??= bounds
    ours ||= describe(outcome, bounds)
    console.log(rowOf(name, outcome, bounds))
  }
  if (shared) console.log(rowOfBound(shared))
  console.log(`  ${ours}\n`)
}

function boundsOf(arrivals: readonly Arrival[]): Bounds {
  const within = (waitSeconds: number) => lowerBound(arrivals, { waitSeconds, slots: OFFER.slots })
  return { any: within(GOAL.waitSeconds), blind: within(BLIND_WAIT_SECONDS) }
}
