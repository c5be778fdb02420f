import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { NODE_STATES } from '#core/node.ts'
import { paidHour, runDryMs } from '../../../../scheduler/plan/billing.ts'
import type { MachinePlan, NodeFacts, PlanInput } from '../../../../scheduler/plan/plan.ts'
import { planMachines } from '../../../../scheduler/plan/plan-machines.ts'
import { aNode, anOffer, aPolicy, aQuestion, bought, busy, NOW_MS, someJobs } from '../../../harness/plan-input.ts'

const GI = 2 ** 30
const TOO_MANY = 'more machines than there may be'
const archs = fc.subarray(['amd64', 'arm64'] as const, { minLength: 1 })

const offer = fc
  .record({
    slots: fc.constantFrom(1, 2, 4, 8),
    arch: fc.constantFrom('amd64' as const, 'arm64' as const),
    hourMicrons: fc.integer({ min: 0, max: 40_000 }),
    available: fc.boolean(),
  })
  .map((changes) => anOffer({ ...changes, memoryBytes: changes.slots * 2 * GI }))
const offers = fc.array(offer, { maxLength: 4 }).map((some) => some.map((one, i) => ({ ...one, location: `l${i}` })))

const waiting = fc.array(
  fc
    .record({ slots: fc.integer({ min: 1, max: 9 }), memoryBytes: fc.integer({ min: 0, max: 9 * GI }), archs, jobs: fc.integer({ min: 0, max: 40 }) })
    .chain((size) =>
      fc
        .record({ oldestWaitSeconds: fc.integer({ min: 0, max: 300 }), expectedSeconds: fc.integer({ min: 0, max: 900 }) })
        .map((times) => someJobs(size.jobs, { ...size, ...times })),
    ),
  { maxLength: 6 },
)

const node = fc
  .record({
    state: fc.constantFrom(...NODE_STATES),
    minutes: fc.oneof(fc.double({ min: 0, max: 200, noNaN: true }), fc.double({ min: 58, max: 60, noNaN: true })),
    slots: fc.constantFrom(1, 2, 4),
    arch: fc.constantFrom('amd64' as const, 'arm64' as const),
    used: fc.integer({ min: 0, max: 4 }),
    busySeconds: fc.integer({ min: 0, max: 600 }),
    drainRequested: fc.boolean(),
  })
  .map(({ state, minutes, slots, arch, used, busySeconds, drainRequested }) => {
    const runs = state === 'ready' || state === 'draining' || state === 'lost' ? Math.min(used, slots) : 0
    const isOrdered = state !== 'planned' && state !== 'creating'
    const asked = drainRequested && state === 'draining'
    const work = runs > 0 ? busy(runs, busySeconds) : {}
    return aNode('', minutes, {
      state,
      slots,
      arch,
      memoryBytes: slots * 2 * GI,
      drainRequested: asked,
      ...work,
      ...(isOrdered ? {} : { billedFromMs: null, stateAtMs: NOW_MS }),
    })
  })
const nodes = fc.array(node, { maxLength: 12 }).map((some) => some.map((one, i) => ({ ...one, nodeId: `n${i}` })))

const policy = fc
  .record({
    minNodes: fc.integer({ min: 0, max: 4 }),
    maxNodes: fc.integer({ min: 0, max: 20 }),
    warmSlots: fc.integer({ min: 0, max: 5 }),
    maxHourMicrons: fc.option(fc.integer({ min: 0, max: 300_000 })),
    burst: fc.integer({ min: 1, max: 10 }),
    keep: fc.constantFrom('hour' as const, 'idle' as const),
    lifetimeSeconds: fc.constantFrom(3600, 86_400),
  })
  .map((changes) => aPolicy(changes))

const question: fc.Arbitrary<PlanInput> = fc.record({
  nowMs: fc.constant(NOW_MS),
  waiting,
  nodes,
  offers,
  policy,
  boughtAtMs: fc.option(fc.constant(NOW_MS - 10_000)),
})
const always = (name: string, holds: (input: PlanInput, plan: MachinePlan) => void, runs = 600) =>
  test(name, () =>
    fc.assert(
      fc.property(question, (input) => holds(input, planMachines(input))),
      { numRuns: runs },
    ),
  )

const counted = (some: readonly NodeFacts[]) => some.filter(({ state }) => state !== 'gone' && state !== 'failed')
const cost = (some: readonly { hourMicrons: number }[]) => some.reduce((sum, { hourMicrons }) => sum + hourMicrons, 0)
const spent = (plan: MachinePlan) => plan.create.reduce((sum, { offer, count }) => sum + offer.hourMicrons * count, 0)
const byId = (input: PlanInput) => new Map(input.nodes.map((one) => [one.nodeId, one]))

always('every node is in exactly one list, and each has a reason', (input, plan) => {
  const said = [...plan.drain, ...plan.resume, ...plan.keep, ...plan.remove]
  assert.deepEqual(said.map(({ nodeId }) => nodeId).sort(), input.nodes.map(({ nodeId }) => nodeId).sort())
  for (const { reason } of said) assert.match(reason, /^[a-z][^\n]+$/)
})

always('caps hold, everything that is paid for counted; nothing is negative', ({ nodes, policy }, plan) => {
  for (const { count } of plan.create) assert.ok(Number.isInteger(count) && count > 0)
  assert.ok(plan.missingSlots >= 0)
  assert.ok(bought(plan) <= policy.burst)
  if (bought(plan) === 0) return
  assert.ok(counted(nodes).length + bought(plan) <= policy.maxNodes)
  assert.ok(policy.maxHourMicrons === null || cost(counted(nodes)) + spent(plan) <= policy.maxHourMicrons)
})

always('only what is available and useful is bought', (input, plan) => {
  for (const { offer } of plan.create) {
    assert.ok(input.offers.includes(offer) && offer.available)
    const isUseful = input.waiting.some(
      (job) => job.jobs > 0 && job.archs.includes(offer.arch) && job.slots <= offer.slots && job.memoryBytes <= offer.memoryBytes,
    )
    assert.ok(isUseful || input.policy.minNodes > 0 || input.policy.warmSlots > 0)
  }
})

always('no node that has a job is removed, and none in a state from which it cannot go', (input, plan) => {
  const known = byId(input)
  for (const { nodeId } of plan.remove) {
    assert.equal(known.get(nodeId)?.usedSlots, 0)
    assert.ok(['planned', 'booting', 'ready', 'draining'].includes(known.get(nodeId)?.state ?? ''))
  }
  for (const { nodeId } of plan.drain) assert.equal(known.get(nodeId)?.state, 'ready')
  for (const { nodeId } of plan.resume) assert.deepEqual([known.get(nodeId)?.state, known.get(nodeId)?.drainRequested], ['draining', false])
})

always('never below the minimum by its own doing', (input, plan) => {
  const works = ({ state, drainRequested }: NodeFacts) => ['planned', 'creating', 'booting', 'ready'].includes(state) && !drainRequested
  const known = byId(input)
  const stays = plan.keep.filter(({ nodeId }) => works(known.get(nodeId) as NodeFacts)).length
  const after = stays + plan.resume.length + bought(plan)
  const stuck = plan.remove.filter(({ reason }) => reason.startsWith('did not enrol')).length
  const before = input.nodes.filter(works).length - stuck
  const beyond = [...plan.remove, ...plan.drain].filter(({ reason }) => reason.startsWith(TOO_MANY)).length
  assert.ok(after >= Math.min(input.policy.minNodes, before - beyond), `${after} of ${before}`)
})

always('none is too many while the caps hold, and none goes as too many before its hour ends', (input, plan) => {
  const known = byId(input)
  const beyond = [...plan.remove, ...plan.drain].filter(({ reason }) => reason.startsWith(TOO_MANY)).map(({ nodeId }) => known.get(nodeId) as NodeFacts)
  if (beyond.length === 0) return
  const there = counted(input.nodes)
  const { maxNodes, maxHourMicrons, keep } = input.policy
  assert.ok(there.length > maxNodes || (maxHourMicrons !== null && cost(there) > maxHourMicrons))
  const runDry = runDryMs(input.nodes, NOW_MS)
  if (keep === 'hour') for (const one of beyond) assert.ok(paidHour(one, NOW_MS, input.policy, runDry).closing)
})

test('a fleet beyond its caps is within them when its hours have ended, whatever waits', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 0, max: 12 }), fc.boolean(), (many, maxNodes, bySpend) => {
      const caps = bySpend ? { maxHourMicrons: maxNodes * anOffer().hourMicrons, maxNodes: 20 } : { maxNodes }
      const fleet = Array.from({ length: many }, (_, i) => aNode(`n${i}`, 59.2))
      const plan = planMachines(aQuestion({ nodes: fleet, waiting: [someJobs(100)], policy: { ...caps, minNodes: 12 } }))
      assert.deepEqual([plan.keep.length, plan.remove.length], [Math.min(many, maxNodes), Math.max(0, many - maxNodes)])
    }),
  )
})

always('nothing is bought for jobs that fit nothing, and they are named', (input, plan) => {
  const isTooLarge = (job: PlanInput['waiting'][number]) =>
    !input.offers.some((one) => job.archs.includes(one.arch) && job.slots <= one.slots && job.memoryBytes <= one.memoryBytes)
  if (!input.waiting.some((job) => job.jobs > 0) || !input.waiting.every(isTooLarge) || input.policy.minNodes + input.policy.warmSlots > 0) return
  assert.equal(bought(plan), 0)
  if (plan.missingSlots > 0) assert.equal(plan.shortage?.code, 'too_large')
})

test('what was drained is taken back before anything is bought', () => {
  const amd64 = nodes.map((some) => some.map((one) => ({ ...one, arch: 'amd64' as const })))
  fc.assert(
    fc.property(amd64, fc.integer({ min: 1, max: 60 }), policy, (some, jobs, anyPolicy) => {
      const wants = { ...anyPolicy, minNodes: 0, warmSlots: 0 }
      const input = { nowMs: NOW_MS, waiting: [someJobs(jobs, { memoryBytes: 0 })], nodes: some, offers: [anOffer()], policy: wants, boughtAtMs: null }
      const plan = planMachines(input)
      if (bought(plan) === 0) return
      const known = byId(input)
      for (const { nodeId, reason } of plan.keep) {
        const one = known.get(nodeId) as NodeFacts
        // What has lived its time goes whatever waits.
        const isOld = NOW_MS - (one.billedFromMs ?? NOW_MS) >= wants.lifetimeSeconds * 1000
        if (one.state === 'draining' && !one.drainRequested && !isOld) assert.equal(one.usedSlots, one.slots, reason)
      }
    }),
    { numRuns: 400 },
  )
})

test('a warm buffer is held', () => {
  fc.assert(
    fc.property(nodes, fc.integer({ min: 1, max: 20 }), (some, warmSlots) => {
      const input = { nowMs: NOW_MS, waiting: [], nodes: some, offers: [anOffer()], policy: aPolicy({ warmSlots }), boughtAtMs: null }
      const plan = planMachines(input)
      const known = byId(input)
      const free = [...plan.keep, ...plan.resume].reduce((sum, { nodeId }) => {
        const one = known.get(nodeId) as NodeFacts
        const works = ['planned', 'creating', 'booting', 'ready'].includes(one.state) || plan.resume.some((resumed) => resumed.nodeId === nodeId)
        return sum + (works ? one.slots - one.usedSlots : 0)
      }, 0)
      assert.ok(free + bought(plan) * 2 >= warmSlots)
    }),
    { numRuns: 400 },
  )
})

test('applied again and again to a queue that stays, plans come to rest', () => {
  fc.assert(
    fc.property(question, (first) => {
      let input = first
      for (let round = 0; round < 40; round++) {
        const plan = planMachines(input)
        if (plan.create.length + plan.drain.length + plan.resume.length + plan.remove.length === 0) return
        input = { ...input, nodes: apply(input.nodes, plan, round) }
      }
      assert.fail('40 rounds, and no rest')
    }),
    { numRuns: 400 },
  )
})

function apply(before: readonly NodeFacts[], plan: MachinePlan, round: number): NodeFacts[] {
  const has = (list: MachinePlan['keep'], nodeId: string) => list.some((one) => one.nodeId === nodeId)
  const left = before.filter(({ nodeId }) => !has(plan.remove, nodeId))
  const changed = left.map((one) =>
    has(plan.drain, one.nodeId) ? { ...one, state: 'draining' as const } : has(plan.resume, one.nodeId) ? { ...one, state: 'ready' as const } : one,
  )
  const made = plan.create.flatMap(({ offer, count }, place) =>
    Array.from({ length: count }, (_, i) => aNode(`r${round}-${place}-${i}`, 0, { ...offer, state: 'planned', billedFromMs: null, stateAtMs: NOW_MS })),
  )
  return [...changed, ...made]
}
