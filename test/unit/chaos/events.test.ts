import assert from 'node:assert/strict'
import { test } from 'node:test'
import { canJobGo, type JobState } from '#core/job/state.ts'
import { JOB_EVENTS } from '../../chaos/check/lives.ts'
import { attemptOf, eventOf, retell, type Seed, tellAfter, testSeeds } from './seeding.ts'

const DELIVERY = 'events are delivered, each once and in order'
const LIFE = 'the events of a job tell one life'
const BATCH = 'the events of a batch tell one life'

const delivery: readonly Seed[] = [
  [
    'an event that is never delivered',
    (facts) => (facts.delivered = facts.delivered.filter((event) => event.id !== 1)),
    DELIVERY,
    /the event 1 \(job\.submitted of job_ok, queued\) was not delivered/,
  ],
  [
    'an event that nobody recorded',
    (facts) => facts.delivered.push({ id: 9999, type: 'job.started', objectId: 'job_ok', attempt: 1, state: 'running' }),
    DELIVERY,
    /the event 9999 \(job\.started of job_ok, attempt 1, running\) was delivered, and has no row/,
  ],
  [
    'an event that says something else',
    (facts) => Object.assign(facts.delivered[0] ?? {}, { type: 'job.queued' }),
    DELIVERY,
    /the event 1 \(job\.submitted of job_ok, queued\) was delivered as 1 \(job\.queued of job_ok, queued\)/,
  ],
  [
    'an event of another job',
    (facts) => Object.assign(facts.delivered[0] ?? {}, { objectId: 'job_x' }),
    DELIVERY,
    /was delivered as 1 \(job\.submitted of job_x/,
  ],
  [
    'an event of another attempt',
    (facts) => {
      const message = facts.delivered.find((event) => event.type === 'job.assigned')
      Object.assign(message ?? {}, { attempt: 2 })
    },
    DELIVERY,
    /attempt 1, running\) was delivered as .*attempt 2, running/,
  ],
  [
    'a repeat that says something else than the first',
    (facts) => facts.delivered.push({ ...eventOf(facts, 'job_ok', 'job.succeeded'), state: 'failed' }),
    DELIVERY,
    /job\.succeeded of job_ok, attempt 1, succeeded\) was delivered as .*failed/,
  ],
  [
    'two events of a job in the wrong order',
    (facts) => {
      retell(facts)
      const end = facts.delivered.findIndex((event) => event.objectId === 'job_ok' && event.type === 'job.succeeded')
      facts.delivered.unshift(...facts.delivered.splice(end, 1))
    },
    DELIVERY,
    /the event 1 \(job\.submitted of job_ok, queued\) was delivered after \d+/,
  ],
  ['an event that waits in the outbox', (facts) => (facts.outboxRows = 2), DELIVERY, /2 events wait in the outbox/],
]

const without =
  (id: string, type: string): Seed[1] =>
  (facts) => {
    const gone = eventOf(facts, id, type)
    retell(
      facts,
      facts.events.filter((event) => event !== gone),
    )
  }
/** The same event again, behind itself. */
const twice =
  (id: string, type: string): Seed[1] =>
  (facts) =>
    tellAfter(facts, eventOf(facts, id, type), {})

const lives: readonly Seed[] = [
  ['a job without job.submitted', without('job_ok', 'job.submitted'), LIFE, /job\.assigned of job_ok \(event \d+\) comes when the job is none/],
  [
    'a job without job.assigned',
    without('job_ok', 'job.assigned'),
    LIFE,
    /job\.started of job_ok .* comes when the job is queued[\s\S]*att_ok_1 of job_ok has no job\.assigned/,
  ],
  ['an attempt that ran, and nobody was told', without('job_ok', 'job.started'), LIFE, /att_ok_1 of job_ok ran, and has no job\.started/],
  ['a job without an end', without('job_ok', 'job.succeeded'), LIFE, /job_ok is succeeded, by its events it is running/],
  ['a retry that nobody was told of', without('job_retry', 'job.requeued'), LIFE, /job\.queued of job_retry .* comes when the job is running/],
  ['a pause that nobody was told is over', without('job_retry', 'job.queued'), LIFE, /job\.assigned of job_retry .* comes when the job is held/],
  ['job.submitted twice', twice('job_ok', 'job.submitted'), LIFE, /job_ok has job\.submitted of attempt 0 twice/],
  ['job.assigned twice', twice('job_ok', 'job.assigned'), LIFE, /job_ok has job\.assigned of attempt 1 twice/],
  ['job.started twice', twice('job_ok', 'job.started'), LIFE, /^job_ok has job\.started of attempt 1 twice \(event \d+\)$/],
  ['job.cancel_requested twice', twice('job_cancel_running', 'job.cancel_requested'), LIFE, /^job_cancel_running has job\.cancel_requested of attempt 1 twice/],
  ['two ends', twice('job_ok', 'job.succeeded'), LIFE, /job\.succeeded of job_ok .* comes when the job is succeeded/],
  [
    'two different ends',
    (facts) => tellAfter(facts, eventOf(facts, 'job_ok', 'job.succeeded'), { type: 'job.cancelled', state: 'cancelled', attempt: null }),
    LIFE,
    /job\.cancelled of job_ok .* comes when the job is succeeded/,
  ],
  [
    'something after the end',
    (facts) => tellAfter(facts, eventOf(facts, 'job_failing', 'job.failed'), { type: 'job.requeued', state: 'queued' }),
    LIFE,
    /job\.requeued of job_failing .* comes when the job is failed/,
  ],
  [
    'job.started before job.assigned',
    (facts) => {
      const [assigned, started] = [eventOf(facts, 'job_retry', 'job.assigned'), eventOf(facts, 'job_retry', 'job.started')]
      ;[assigned.id, started.id] = [started.id, assigned.id]
      retell(facts)
    },
    LIFE,
    /job\.started of job_retry .* comes when the job is queued, it may when it is running/,
  ],
  [
    'an event of an attempt that does not have the job',
    (facts) => {
      eventOf(facts, 'job_lost', 'job.requeued').attempt = 2
      retell(facts)
    },
    LIFE,
    /job\.requeued of job_lost .* is of attempt 2, not 1/,
  ],
  [
    'an end by no attempt',
    (facts) => {
      eventOf(facts, 'job_ok', 'job.succeeded').attempt = null
      retell(facts)
    },
    LIFE,
    /job\.succeeded of job_ok .* is of attempt none, not 1/,
  ],
  [
    'an event with a state that is not its own',
    (facts) => {
      eventOf(facts, 'job_ok', 'job.submitted').state = 'running'
      retell(facts)
    },
    LIFE,
    /job\.submitted of job_ok .* leads to running, it may to held or queued/,
  ],
  [
    'an event that there is not',
    (facts) => {
      eventOf(facts, 'job_ok', 'job.started').type = 'job.begun'
      retell(facts)
    },
    LIFE,
    /job\.begun of job_ok .* it may when it is never/,
  ],
  [
    'a claim that left no attempt',
    (facts) => {
      tellAfter(facts, eventOf(facts, 'job_interrupted', 'job.requeued'), { type: 'job.assigned', state: 'running', attempt: 2 })
      for (const event of facts.events) if (event.objectId === 'job_interrupted' && event.attempt === 2 && event.id % 2 === 1) event.attempt = 3
      const again = facts.events.find((event) => event.objectId === 'job_interrupted' && event.type === 'job.assigned' && event.attempt === 2)
      if (again) facts.events.push({ ...again, id: again.id + 0.5, type: 'job.requeued', state: 'queued' })
      retell(facts)
    },
    LIFE,
    /job_interrupted has a job\.assigned of attempt 3, there is no such attempt/,
  ],
  [
    'a start that its row does not know of',
    (facts) => (attemptOf(facts, 'att_ok_1').startedAtMs = null),
    LIFE,
    /att_ok_1 of job_ok has a job\.started, its row does not know that it ran/,
  ],
]

const batches: readonly Seed[] = [
  ['a batch that was never completed', without('batch_1', 'batch.completed'), BATCH, /batch_1 has 0 batch\.completed, not one/],
  ['a batch that nobody was told of', without('batch_1', 'batch.submitted'), BATCH, /batch_1 has 0 batch\.submitted, not one/],
  ['a batch that is completed twice', twice('batch_1', 'batch.completed'), BATCH, /batch_1 has 2 batch\.completed, not one/],
  [
    'a batch that is completed before its last job',
    (facts) => {
      eventOf(facts, 'batch_1', 'batch.completed').id = eventOf(facts, 'job_b3', 'job.succeeded').id - 1
      retell(facts)
    },
    BATCH,
    /batch_1 was completed \(event \d+\) before job\.succeeded of job_b3/,
  ],
]

testSeeds([...delivery, ...lives, ...batches])

test('what events of a job lead to is what the table of states allows', () => {
  for (const [type, { from, to }] of Object.entries(JOB_EVENTS)) {
    for (const before of from.filter((state) => state !== 'none')) {
      for (const after of to) assert.ok(before === after || canJobGo(before as JobState, after as JobState), `${type}: ${before} → ${after}`)
    }
  }
})
