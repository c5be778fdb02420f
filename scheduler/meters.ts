import { CAUSES, type Cause } from '#core/job/state.ts'
import { LONG_BUCKETS, type Metrics, QUICK_BUCKETS } from '#core/service/metrics.ts'
import { monotonicMs } from '#core/service/time.ts'
import type { ClaimedJob } from '#store/claims.ts'
import type { Claims } from './claims.ts'
import type { NodeDeskDeps } from './node-desk.ts'

/** Measures what the scheduler does, from outside of what does it. */
export interface Meters {
  /** The same claims, counted. */
  claims(claims: Claims): Claims
  /** The same answer to claims, timed from the question to the answer. */
  answer(claim: NodeDeskDeps['claim']): NodeDeskDeps['claim']
  /** Is told that the container of an attempt runs, so many seconds after its node got it. */
  started(seconds: number): void
  /** Is told that an attempt ended. */
  ended(cause: Cause): void
  /** Is told that a node was declared lost, with the attempts it had. */
  lost(attempts: number): void
  /** Is told whether the reaper holds fire. */
  holding(held: boolean): void
  /** Is told how many nodes are cordoned, and whether none more is as too many fail jobs. */
  judged(cordoned: number, held: boolean): void
  /** Is told how many events were brought to the bus. */
  relayed(events: number): void
}

/** See the interface. `claimed` hears of each job that was given to a node. */
export function createMeters(metrics: Metrics, isLeader: () => boolean, claimed: (job: ClaimedJob) => void = () => undefined): Meters {
  const answered = metrics.counter('rgrid_claims_total', 'Claims of nodes that were answered, also with no job')
  const jobs = metrics.counter('rgrid_jobs_claimed_total', 'Jobs that were given to nodes')
  const answerSeconds = metrics.histogram('rgrid_claim_seconds', 'From the claim of a node to its answer', ['result'], QUICK_BUCKETS)
  const queueSeconds = metrics.histogram('rgrid_queue_wait_seconds', 'How long jobs were queued when a node got them', [], LONG_BUCKETS)
  const startSeconds = metrics.histogram('rgrid_attempt_start_seconds', 'From the claim of a job to the start of its container', [], LONG_BUCKETS)
  const attempts = metrics.counter('rgrid_attempts_ended_total', 'Attempts that ended, by how', ['cause'])
  const nodes = metrics.counter('rgrid_nodes_lost_total', 'Nodes declared lost because they were silent')
  const events = metrics.counter('rgrid_events_relayed_total', 'Events that were brought from the outbox to the bus')
  for (const cause of CAUSES) attempts.inc({ cause }, 0)
  let held = false
  let fleet = { cordoned: 0, held: false }
  metrics.gauge('rgrid_nodes_cordoned', 'Nodes that get no work as they fail jobs that others do', () => (isLeader() ? fleet.cordoned : 0))
  metrics.gauge('rgrid_cordon_holding_fire', 'Whether nodes that fail jobs go on getting work, as too many do', () => Number(fleet.held && isLeader()))
  metrics.gauge('rgrid_reaper_holding_fire', 'Whether silent nodes are spared, as most fell silent at once or the bus is ill', () => Number(held && isLeader()))
  metrics.gauge('rgrid_leader', 'Whether this process is the leader', () => Number(isLeader()))

  return {
    claims: (claims) => ({
      async claim(nodeId, request) {
        const given = await claims.claim(nodeId, request)
        answered.inc()
        jobs.inc(given.length)
        for (const job of given) {
          queueSeconds.observe(Math.max(0, job.queuedSeconds))
          claimed(job)
        }
        return given
      },
    }),
    answer: (claim) => async (nodeId, request) => {
      const startedMs = monotonicMs()
      const observe = (result: string) => answerSeconds.observe({ result }, (monotonicMs() - startedMs) / 1000)
      try {
        const reply = await claim(nodeId, request)
        observe(reply.assignments.length > 0 ? 'jobs' : 'none')
        return reply
      } catch (error) {
        observe('failed')
        throw error
      }
    },
    started: (seconds) => startSeconds.observe(seconds),
    ended: (cause) => attempts.inc({ cause }),
    lost(count) {
      nodes.inc()
      attempts.inc({ cause: 'lost' }, count)
    },
    holding(now) {
      held = now
    },
    judged(cordoned, tooMany) {
      fleet = { cordoned, held: tooMany }
    },
    relayed: (count) => events.inc(count),
  }
}
