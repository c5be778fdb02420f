import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { NodeFacts } from '../../../../scheduler/plan/plan.ts'
import { planMachines } from '../../../../scheduler/plan/plan-machines.ts'
import { aNode, aQuestion, busy, inShort, NOW_MS, someJobs } from '../../../harness/plan-input.ts'

const drained = (changes: Partial<NodeFacts> = {}) => ({ state: 'draining', ...changes }) as const

const CASES: { name: string; given: Parameters<typeof aQuestion>[0]; says: Record<string, string> }[] = [
  { name: 'an idle node stays while its hour is paid', given: { nodes: [aNode('a', 28)] }, says: { a: 'keep: idle; paid until 14:32 UTC, goes at 14:31 UTC' } },
  { name: 'and goes shortly before the next', given: { nodes: [aNode('a', 59.2)] }, says: { a: 'remove: idle, and nothing waits; paid until 14:00 UTC' } },
  { name: 'also before its fifth', given: { nodes: [aNode('a', 4 * 60 + 59.2)] }, says: { a: 'remove: idle, and nothing waits; paid until 14:00 UTC' } },
  {
    name: 'too late to be deleted in time, it stays',
    given: { nodes: [aNode('a', 59.9)] },
    says: { a: 'keep: idle; paid until 14:00 UTC, goes at 13:59 UTC' },
  },
  {
    name: 'it stays when work waits',
    given: { nodes: [aNode('a', 59.2)], waiting: [someJobs(1)] },
    says: { a: 'keep: kept: work waits; paid until 14:00 UTC' },
  },
  {
    name: 'it goes at the end of its hour when there may be none, whatever waits',
    given: { nodes: [aNode('a', 59.2), aNode('b', 30)], waiting: [someJobs(9)], policy: { maxNodes: 0 } },
    says: { a: 'remove: more machines than there may be; paid until 14:00 UTC', b: 'keep: idle; paid until 14:30 UTC, goes at 14:29 UTC' },
  },
  {
    name: 'of two the one that does less, when there may be one; the other one goes on, however long its job takes',
    given: { nodes: [aNode('a', 59.2, busy(2, 900)), aNode('b', 59.2, busy(1, 900))], waiting: [someJobs(9)], policy: { maxNodes: 1 } },
    says: { a: 'keep: busy: 2 of 2 slots; paid until 14:00 UTC', b: 'drain: more machines than there may be; paid until 14:00 UTC' },
  },
  {
    name: 'one that was drained so is not taken back when another hour is paid for it',
    given: { nodes: [aNode('a', 61, drained(busy(1, 900)))], waiting: [someJobs(9)], policy: { maxNodes: 0 } },
    says: { a: 'keep: drained; busy: 1 slot; paid until 14:59 UTC' },
  },
  {
    name: 'it stays for the minimum',
    given: { nodes: [aNode('a', 59.2)], policy: { minNodes: 1 } },
    says: { a: 'keep: kept: minimum of 1 node; paid until 14:00 UTC' },
  },
  {
    name: 'it stays for the warm buffer',
    given: { nodes: [aNode('a', 59.2)], policy: { warmSlots: 2 } },
    says: { a: 'keep: kept: 2 slots are to be free; paid until 14:00 UTC' },
  },
  {
    name: 'a busy one stays when its job ends too late',
    given: { nodes: [aNode('a', 59.2, busy(1, 100))] },
    says: { a: 'keep: busy: 1 of 2 slots; paid until 14:00 UTC' },
  },
  {
    name: 'it is drained when others can do its work',
    given: { nodes: [aNode('a', 58.5, busy(1, 20)), aNode('b', 20)] },
    says: { a: 'drain: goes when its jobs have ended; paid until 14:01 UTC', b: 'keep: idle; paid until 14:40 UTC, goes at 14:39 UTC' },
  },
  {
    name: 'and stays when they cannot',
    given: { nodes: [aNode('a', 58.5, busy(2, 20)), aNode('b', 20, busy(1, 20))] },
    says: { a: 'keep: kept: the others have no room; paid until 14:01 UTC', b: 'keep: busy: 1 of 2 slots; paid until 14:40 UTC' },
  },
  {
    name: 'an idle one takes no more work shortly before it goes, when others have room',
    given: { nodes: [aNode('a', 58.5), aNode('b', 20, busy(1, 40))] },
    says: { a: 'drain: idle, and others can do what comes; paid until 14:01 UTC, goes at 14:00 UTC', b: 'keep: busy: 1 of 2 slots; paid until 14:40 UTC' },
  },
  {
    name: 'and does when they have none',
    given: { nodes: [aNode('a', 58.5), aNode('b', 20, busy(2, 40))] },
    says: { a: 'keep: kept: the others have no room; paid until 14:01 UTC', b: 'keep: busy: 2 of 2 slots; paid until 14:40 UTC' },
  },
  {
    name: 'a drained one is taken back before another is bought',
    given: { nodes: [aNode('a', 58.5, drained(busy(1, 60)))], waiting: [someJobs(1)] },
    says: { a: 'resume: takes work again: work waits' },
  },
  {
    name: 'not when somebody asked for the drain',
    given: { nodes: [aNode('a', 58.5, drained({ drainRequested: true }))], waiting: [someJobs(1)] },
    says: { a: 'keep: drained, as was asked; idle; paid until 14:01 UTC, goes at 14:00 UTC', 'cx23@fsn1': 'create: 1' },
  },
  {
    name: 'it is taken back when another hour is paid',
    given: { nodes: [aNode('a', 61, drained(busy(1, 60)))] },
    says: { a: 'resume: takes work again: another hour is paid; paid until 14:59 UTC' },
  },
  {
    name: 'a drained one goes when it is empty',
    given: { nodes: [aNode('a', 59.2, drained())] },
    says: { a: 'remove: drained; has no job; paid until 14:00 UTC' },
  },
  {
    name: 'one with a job never goes',
    given: { nodes: [aNode('a', 59.2, drained(busy(1, 5)))] },
    says: { a: 'keep: drained; busy: 1 slot; paid until 14:00 UTC' },
  },
  {
    name: 'past its lifetime it drains at the end of an hour, whatever waits',
    given: { nodes: [aNode('a', 119.2, busy(1, 10))], waiting: [someJobs(1)], policy: { lifetimeSeconds: 7000 } },
    says: { a: 'drain: goes when its jobs have ended; paid until 14:00 UTC', 'cx23@fsn1': 'create: 1' },
  },
  {
    name: 'past its lifetime it stays to the end of the hour',
    given: { nodes: [aNode('a', 90, busy(1, 10))], policy: { lifetimeSeconds: 3600 } },
    says: { a: 'keep: busy: 1 of 2 slots; paid until 14:30 UTC' },
  },
  {
    name: 'past its lifetime it is replaced first when it is the minimum',
    given: { nodes: [aNode('a', 59.2)], policy: { lifetimeSeconds: 3000, minNodes: 1 } },
    says: { a: 'remove: idle, and nothing waits; paid until 14:00 UTC', 'cx23@fsn1': 'create: 1' },
  },
  {
    name: 'and stays when no other may come',
    given: { nodes: [aNode('a', 59.2)], policy: { lifetimeSeconds: 3000, minNodes: 1, maxNodes: 1 } },
    says: { a: 'keep: kept: minimum of 1 node, and no other may come yet' },
  },
  { name: 'billed by the second, an idle node stays a while', given: { nodes: [aNode('a', 5)], policy: { keep: 'idle' } }, says: { a: 'keep: idle' } },
  { name: 'and then goes', given: { nodes: [aNode('a', 7)], policy: { keep: 'idle' } }, says: { a: 'remove: idle, and nothing waits' } },
  { name: 'one that does not enrol goes', given: { nodes: [aNode('a', 7, { state: 'booting' })] }, says: { a: 'remove: did not enrol within 300 s' } },
  {
    name: 'what was not ordered and is not wanted goes',
    given: { nodes: [aNode('a', 0, { state: 'planned', billedFromMs: null })] },
    says: { a: 'remove: was not ordered yet, and is wanted no more' },
  },
  { name: 'one that boots stays', given: { nodes: [aNode('a', 1, { state: 'booting' })] }, says: { a: 'keep: boots; will have 2 slots' } },
  { name: 'one that is lost is left to others', given: { nodes: [aNode('a', 59.2, { state: 'lost' })] }, says: { a: 'keep: lost: it is not heard of' } },
]

for (const { name, given, says } of CASES) {
  test(`paid hours: ${name}`, () => assert.deepEqual(inShort(planMachines(aQuestion(given))), says))
}

test('a clock that is behind the provider is in the first hour', () => {
  const plan = planMachines(aQuestion({ nodes: [aNode('a', 0, { billedFromMs: NOW_MS + 2000 })] }))
  assert.deepEqual(inShort(plan), { a: 'keep: idle; paid until 15:00 UTC, goes at 14:59 UTC' })
})
