import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { pino } from 'pino'
import type { Bus } from '#bus/bus.ts'
import { type Assignment, ClaimReply, ClaimRequest } from '#bus/messages/claim.ts'
import { RenewReply, RenewRequest } from '#bus/messages/node.ts'
import { nodeRequestSubject } from '#bus/subjects.ts'
import { newId } from '#core/ids.ts'
import { type Agent, createAgent } from '../../../node-runner/agent.ts'
import { newRecord } from '../../../node-runner/record.ts'
import { serviceBus } from '../../harness/bus.ts'
import { aSpec } from '../../harness/spec.ts'

const DRAIN_MS = 200
let bus: Bus

before(async () => {
  bus = await serviceBus('scheduler')
})
after(() => bus.close())

/** An agent that runs one attempt until it is stopped; `answer` is what its renewals are told. */
async function anAgent(answer: () => RenewReply): Promise<{ agent: Agent; stopped: Promise<number>; renewed(times: number): Promise<void> }> {
  const nodeId = newId('node')
  const { promise: stopped, resolve } = Promise.withResolvers<number>()
  let renewals = 0
  const waiting: { until: number; resolve(): void }[] = []
  bus.serve(nodeRequestSubject(nodeId, 'claim'), 'test', ClaimRequest, ClaimReply, async () => ({ assignments: [] }))
  bus.serve(nodeRequestSubject(nodeId, 'renew'), 'test', RenewRequest, RenewReply, async () => {
    renewals++
    for (const wait of waiting) if (renewals >= wait.until) wait.resolve()
    return answer()
  })
  const assignment = { attemptId: newId('attempt'), jobId: newId('job'), leaseToken: 't', spec: aSpec(), inputs: [] } as unknown as Assignment
  const agent = createAgent({
    bus,
    nodeId,
    pool: 'none',
    capacity: { slots: 2, memoryBytes: 2 ** 31 },
    claimPollMs: 60_000,
    heartbeatMs: 1000,
    renewMs: 50,
    drainMs: DRAIN_MS,
    log: pino({ level: 'silent' }),
    unfinished: [newRecord(assignment)],
    run: (_, stop) =>
      new Promise((end) =>
        stop.addEventListener('abort', () => {
          resolve(performance.now())
          end()
        }),
      ),
    listContainers: async () => [],
    listImages: async () => [],
    renewed: () => undefined,
    hasRoom: async () => true,
    leave: () => undefined,
    claimed: () => undefined,
  })
  await agent.start()
  return { agent, stopped, renewed: (times) => new Promise((done) => waiting.push({ until: renewals + times, resolve: done })) }
}

test('a node that is drained hands back what does not end in time', async () => {
  const { agent, stopped } = await anAgent(() => ({ stale: [], cancel: [], drain: true }))
  await stopped
  assert.equal(agent.state().draining, true)
  await agent.stop()
})

test('one that the planner drains lets its job take its time, until somebody is less patient', async () => {
  let patient = true
  const { agent, stopped, renewed } = await anAgent(() => ({ stale: [], cancel: [], drain: true, patient }))
  // Five times as long as a drain gives.
  const beganMs = performance.now()
  while (performance.now() - beganMs < 5 * DRAIN_MS) await renewed(1)
  assert.equal(agent.state().draining, true)
  assert.equal(agent.running().length, 1)
  patient = false
  await stopped
  await agent.stop()
})
