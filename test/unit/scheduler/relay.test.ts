import assert from 'node:assert/strict'
import { test } from 'node:test'
import { encode } from '#bus/codec.ts'
import { Event } from '#bus/messages/event.ts'
import { eventSubject } from '#bus/subjects.ts'
import type { StoredEvent } from '#store/events.ts'
import { inWaves, toCloudEvent } from '../../../scheduler/relay.ts'

const event = (id: number, about: Partial<StoredEvent>): StoredEvent => ({
  id,
  accountId: 'acc_1',
  projectId: 'proj_1',
  batchId: null,
  jobId: null,
  type: 'job.queued',
  data: {},
  createdAt: '2026-11-23T10:00:00.123Z',
  traceContext: null,
  ...about,
})

test('an event of a job is in a later wave than the one before it, and no wave is larger than it must be', () => {
  const events = ['a', 'b', 'a', 'c', 'a', 'b'].map((jobId, id) => event(id, { jobId }))
  assert.deepEqual(
    inWaves(events).map((wave) => wave.map(({ id }) => id)),
    [[0, 1, 3], [2, 5], [4]],
  )
  assert.deepEqual(inWaves([]), [])
})

// https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md#context-attributes
for (const [what, about, subject] of [
  ['a job', { jobId: 'job_1', batchId: 'batch_1' }, 'job_1'],
  ['a batch', { batchId: 'batch_1' }, 'batch_1'],
  ['a webhook', { type: 'webhook.disabled', data: { webhookId: 'wh_1' } }, 'wh_1'],
  ['none of them', { type: 'webhook.disabled' }, 'proj_1'],
] as const) {
  test(`the event of ${what} is a CloudEvent`, () => {
    const cloud = toCloudEvent(event(97, about))
    assert.equal(cloud.subject, subject)
    assert.equal(new URL(cloud.source, 'https://rgrid.dev').href, 'https://rgrid.dev/projects/proj_1')
    assert.match(cloud.time, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/)
    assert.match(cloud.type, /^rgrid\./)
    assert.equal(cloud.id, '97')
    encode(Event, cloud)
    // Its subject on the bus is made of the same.
    eventSubject('acc_1', 'proj_1', cloud.subject)
  })
}

test('an event of a traced job names the trace, by the extension of CloudEvents', () => {
  const traceparent = '00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
  const whole = toCloudEvent(event(97, { jobId: 'job_1', traceContext: `${traceparent} congo=1,rojo=2` }))
  assert.deepEqual([whole.traceparent, whole.tracestate], [traceparent, 'congo=1,rojo=2'])
  encode(Event, whole)
  for (const [traceContext, wanted] of [
    [traceparent, traceparent],
    [null, undefined],
    ['what', undefined],
  ] as const) {
    const { traceparent: parent, tracestate } = toCloudEvent(event(97, { jobId: 'job_1', traceContext }))
    assert.deepEqual([parent, tracestate], [wanted, undefined])
  }
})
