import type { Facts, HookFact } from '../../chaos/check/facts.ts'
import { type Seed, testSeeds } from './seeding.ts'

const WEBHOOKS = 'webhooks arrive, signed and in order'

/** The place of the last webhook of this type about a job. */
function placeOf({ webhooks }: Facts, objectId: string, type: string): number {
  return webhooks.received.findLastIndex((one) => one.objectId === objectId && one.type === type)
}

const received = (facts: Facts, objectId: string, type: string) => facts.webhooks.received[placeOf(facts, objectId, type)] as HookFact

const seeds: readonly Seed[] = [
  [
    'an event that came as no webhook',
    (facts) => facts.webhooks.received.splice(placeOf(facts, 'job_ok', 'job.succeeded'), 1),
    WEBHOOKS,
    /the event \d+ \(job\.succeeded of job_ok\) came as no webhook/,
  ],
  [
    'a webhook that tells of nothing',
    (facts) => facts.webhooks.received.push({ id: 9999, type: 'job.failed', objectId: 'job_ok' }),
    WEBHOOKS,
    /the webhook 9999 \(job\.failed of job_ok\) came, and no event is like it/,
  ],
  [
    'a webhook that tells something else',
    (facts) => Object.assign(received(facts, 'job_ok', 'job.succeeded'), { type: 'job.failed' }),
    WEBHOOKS,
    /job\.succeeded of job_ok\) came as the webhook \d+ \(job\.failed of job_ok\)/,
  ],
  [
    'an end that came before its start',
    (facts) => facts.webhooks.received.unshift(...facts.webhooks.received.splice(placeOf(facts, 'job_ok', 'job.succeeded'), 1)),
    WEBHOOKS,
    /the webhook \d+ \(job\.started of job_ok\) came after \d+/,
  ],
  ['a webhook that is not signed', (facts) => facts.webhooks.faults.push('No matching signature found'), WEBHOOKS, /the receiver says: No matching signature/],
]

testSeeds(seeds)
