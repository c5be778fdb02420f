import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import type { Bus } from '#bus/bus.ts'
import { encode } from '#bus/codec.ts'
import { ClaimReply, ClaimRequest } from '#bus/messages/claim.ts'
import { Control } from '#bus/messages/node.ts'
import { controlSubject, nodeRequestSubject } from '#bus/subjects.ts'
import type { Service } from '#core/service/run.ts'
import { createNodeDesk } from '../../../scheduler/node-desk.ts'
import { nodeBus, serviceBus } from '../../harness/bus.ts'

const ANSWER_MS = 30_000
let scheduler: Bus
let desk: Service
const asked: string[] = []

before(async () => {
  scheduler = await serviceBus()
  const refuse = () => Promise.reject(new Error('not asked in this test'))
  desk = createNodeDesk({
    bus: scheduler,
    presence: { heard: () => undefined, silentMs: () => undefined, writer: { name: 'none', start: refuse, stop: refuse, kick: () => undefined } },
    async claim(nodeId) {
      asked.push(nodeId)
      return { assignments: [] }
    },
    report: refuse,
    uploads: refuse,
    renew: refuse,
  })
  await desk.start()
  await scheduler.connection.flush()
})
after(async () => {
  await desk.stop()
  await scheduler.close()
})

test('a node is answered, and known by the subject it speaks on', async () => {
  const { bus, nodeId } = await nodeBus()
  assert.deepEqual(await bus.request(nodeRequestSubject(nodeId, 'claim'), ClaimRequest, ClaimReply, { slots: 1, memoryBytes: 0 }, ANSWER_MS), {
    assignments: [],
  })
  assert.deepEqual(asked.splice(0), [nodeId])
  await bus.close()
})

test('a node that names the control subject of another as the place for the answer is not answered', async () => {
  const victim = await nodeBus()
  const attacker = await nodeBus()
  const heard: unknown[] = []
  const bad: string[] = []
  victim.bus.subscribe(controlSubject(victim.nodeId), Control, (message) => heard.push(message))
  victim.bus.connection.subscribe(`_INBOX_${victim.nodeId}.>`, { callback: (_, msg) => bad.push(msg.subject) })
  await victim.bus.connection.flush()
  const before = scheduler.badMessages()
  const message = encode(ClaimRequest, { slots: 1, memoryBytes: 0 })
  for (const reply of [controlSubject(victim.nodeId), `_INBOX_${victim.nodeId}.x`, `_INBOX_${attacker.nodeId}x.y`, 'rgrid.wake.default']) {
    attacker.bus.connection.publish(nodeRequestSubject(attacker.nodeId, 'claim'), message, { reply })
  }
  // The same connection's next request comes behind them, so by its answer they have been dealt with.
  await attacker.bus.request(nodeRequestSubject(attacker.nodeId, 'claim'), ClaimRequest, ClaimReply, { slots: 1, memoryBytes: 0 }, ANSWER_MS)
  await victim.bus.connection.flush()
  assert.equal(scheduler.badMessages() - before, 4)
  assert.deepEqual([heard, bad], [[], []])
  assert.deepEqual(asked.splice(0), [attacker.nodeId])
  await victim.bus.close()
  await attacker.bus.close()
})

test('a message that does not fit its schema is dropped and counted', async () => {
  const { bus, nodeId } = await nodeBus()
  const before = scheduler.badMessages()
  for (const text of ['', '{', '{"slots":-1,"memoryBytes":0}', '{"slots":"many"}', 'null']) {
    bus.connection.publish(nodeRequestSubject(nodeId, 'claim'), Buffer.from(text), { reply: `_INBOX_${nodeId}.a` })
  }
  await bus.request(nodeRequestSubject(nodeId, 'claim'), ClaimRequest, ClaimReply, { slots: 1, memoryBytes: 0 }, ANSWER_MS)
  assert.equal(scheduler.badMessages() - before, 5)
  assert.deepEqual(asked.splice(0), [nodeId])
  await bus.close()
})

test('what we send is checked as well', () => {
  assert.throws(() => encode(ClaimRequest, { slots: 0, memoryBytes: 0 }), /ClaimRequest does not fit/)
})
