import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planMachines } from '../../../../scheduler/plan/plan-machines.ts'
import { aNode, anOffer, aQuestion, bought, busy, inShort, NOW_MS, someJobs } from '../../../harness/plan-input.ts'

const GI = 2 ** 30

const CASES: { name: string; given: Parameters<typeof aQuestion>[0]; machines: number; shortage?: string; missing?: number }[] = [
  { name: 'nothing waits', given: {}, machines: 0 },
  { name: 'jobs are packed', given: { waiting: [someJobs(5)] }, machines: 3, missing: 5 },
  { name: 'memory may be what is scarce', given: { waiting: [someJobs(3, { memoryBytes: 3 * GI })] }, machines: 3 },
  { name: 'small jobs go beside large ones', given: { waiting: [someJobs(2, { memoryBytes: 3 * GI }), someJobs(2)] }, machines: 2 },
  { name: 'short jobs follow one another in a slot', given: { waiting: [someJobs(24, { expectedSeconds: 10 })] }, machines: 3 },
  { name: 'free slots are used first', given: { waiting: [someJobs(2)], nodes: [aNode('a', 10)] }, machines: 0 },
  { name: 'slots that come are used', given: { waiting: [someJobs(2)], nodes: [aNode('a', 0.5, { state: 'booting' })] }, machines: 0 },
  { name: 'a job waits for a slot that is free soon', given: { waiting: [someJobs(1)], nodes: [aNode('a', 10, busy(2, 100))] }, machines: 0 },
  { name: 'and not for one that is not', given: { waiting: [someJobs(1)], nodes: [aNode('a', 10, busy(2, 1000))] }, machines: 1 },
  {
    name: 'what waited long waits no longer than a boot takes',
    given: { waiting: [someJobs(2, { oldestWaitSeconds: 80 })], nodes: [aNode('a', 10, busy(2, 150))] },
    machines: 1,
  },
  { name: 'no more than a burst at once', given: { waiting: [someJobs(50)], policy: { burst: 4 } }, machines: 4, shortage: 'burst' },
  {
    name: 'no more than may be',
    given: { waiting: [someJobs(50)], nodes: [aNode('a', 9, busy(2, 999))], policy: { maxNodes: 3 } },
    machines: 2,
    shortage: 'max_nodes',
  },
  {
    name: 'what is being deleted counts',
    given: { waiting: [someJobs(2)], nodes: [aNode('a', 9, { state: 'deleting' })], policy: { maxNodes: 1 } },
    machines: 0,
    shortage: 'max_nodes',
  },
  { name: 'what is gone does not', given: { waiting: [someJobs(2)], nodes: [aNode('a', 9, { state: 'gone' })], policy: { maxNodes: 1 } }, machines: 1 },
  { name: 'no more than may be spent', given: { waiting: [someJobs(50)], policy: { maxHourMicrons: 35_000 } }, machines: 3, shortage: 'max_spend' },
  { name: 'the minimum is bought', given: { policy: { minNodes: 2 } }, machines: 2 },
  { name: 'the warm buffer is bought', given: { policy: { warmSlots: 3 } }, machines: 2 },
  { name: 'beside what waits', given: { waiting: [someJobs(2)], nodes: [aNode('a', 9)], policy: { warmSlots: 1 } }, machines: 1 },
  { name: 'nothing fits', given: { waiting: [someJobs(3, { slots: 4 })] }, machines: 0, shortage: 'too_large', missing: 12 },
  { name: 'nothing is to be had', given: { waiting: [someJobs(1)], offers: [anOffer({ available: false })] }, machines: 0, shortage: 'no_cell' },
  { name: 'nothing is offered for Arm alone', given: { waiting: [someJobs(1, { archs: ['arm64'] })] }, machines: 0, shortage: 'too_large' },
]

for (const { name, given, machines, shortage, missing } of CASES) {
  test(`buying: ${name}`, () => {
    const plan = planMachines(aQuestion(given))
    assert.equal(bought(plan), machines)
    assert.equal(plan.shortage?.code, shortage)
    if (missing !== undefined) assert.equal(plan.missingSlots, missing)
  })
}

test('of several cells the one that gives most of what is wanted for its price, the first of equals', () => {
  const offers = [
    anOffer({ location: 'nbg1' }),
    anOffer(),
    anOffer({ serverType: 'cx33', slots: 4, memoryBytes: 8 * GI, hourMicrons: 14_000 }),
    anOffer({ serverType: 'cx43', slots: 8, memoryBytes: 16 * GI, hourMicrons: 24_000, available: false }),
  ]
  const buys = (jobs: number) => inShort(planMachines(aQuestion({ offers, waiting: [someJobs(jobs)] })))
  assert.deepEqual(buys(1), { 'cx23@nbg1': 'create: 1' })
  assert.deepEqual(buys(4), { 'cx33@fsn1': 'create: 1' })
  assert.deepEqual(buys(9), { 'cx33@fsn1': 'create: 2', 'cx23@nbg1': 'create: 1' })
})

test('Arm is bought only for jobs whose image has it', () => {
  const offers = [anOffer(), anOffer({ serverType: 'cax11', arch: 'arm64', hourMicrons: 6_000 })]
  const buys = (archs: ('amd64' | 'arm64')[]) => inShort(planMachines(aQuestion({ offers, waiting: [someJobs(2, { archs })] })))
  assert.deepEqual(buys(['amd64', 'arm64']), { 'cax11@fsn1': 'create: 1' })
  assert.deepEqual(buys(['amd64']), { 'cx23@fsn1': 'create: 1' })
})

test('jobs that fit nothing keep none of the others from being bought for, and are named', () => {
  const plan = planMachines(aQuestion({ waiting: [someJobs(3, { slots: 8, memoryBytes: GI }), someJobs(2)] }))
  assert.equal(bought(plan), 1)
  assert.deepEqual(plan.shortage, {
    code: 'too_large',
    detail:
      '3 waiting jobs fit no machine that is offered: wanted are up to 8 slots and 1.0 GiB on amd64; the largest machine offered has 2 slots and 4.0 GiB on amd64',
  })
})

test('all that is wanting is told, the gravest first', () => {
  const plan = planMachines(aQuestion({ waiting: [someJobs(1, { slots: 8 }), someJobs(9)], policy: { maxNodes: 1 } }))
  assert.equal(plan.shortage?.code, 'max_nodes')
  assert.match(plan.shortage?.detail ?? '', /^there are as many machines as there may be; 1 waiting job fits no machine/)
})

test('for a while after buying, more jobs may wait for what comes', () => {
  const nodes = [aNode('a', 0.5, { state: 'booting', stateAtMs: NOW_MS })]
  const waiting = [someJobs(6, { expectedSeconds: 40 })]
  assert.equal(bought(planMachines(aQuestion({ nodes, waiting }))), 1)
  assert.equal(bought(planMachines(aQuestion({ nodes, waiting, boughtAtMs: NOW_MS - 5000 }))), 0)
})
