import type { Cause } from '#core/job/state.ts'
import type { Metrics } from '#core/service/metrics.ts'
import type { Claims } from './claims.ts'

/** Measures what the scheduler does, from outside of what does it. */
export interface Meters {
  /** The same claims, counted. */
  claims(claims: Claims): Claims
  /** Is told that an attempt ended. */
  ended(cause: Cause): void
  /** Is told that a node was declared lost, with the attempts it had. */
  lost(attempts: number): void
  /** Is told whether the reaper holds fire. */
  holding(held: boolean): void
}

/** See the interface. */
export function createMeters(metrics: Metrics, isLeader: () => boolean): Meters {
  const claimed = metrics.counter('rgrid_claims_total', 'Claims of nodes that were answered, also with no job')
  const jobs = metrics.counter('rgrid_jobs_claimed_total', 'Jobs that were given to nodes')
  const attempts = metrics.counter('rgrid_attempts_ended_total', 'Attempts that ended, by how', ['cause'])
  const nodes = metrics.counter('rgrid_nodes_lost_total', 'Nodes declared lost because they were silent')
  let held = false
  metrics.gauge('rgrid_reaper_holding_fire', 'Whether silent nodes are spared, as most fell silent at once or the bus is ill', () => Number(held && isLeader()))
  metrics.gauge('rgrid_leader', 'Whether this process is the leader', () => Number(isLeader()))

  return {
    claims: (claims) => ({
      async claim(nodeId, request) {
        const given = await claims.claim(nodeId, request)
        claimed.inc()
        jobs.inc(given.length)
        return given
      },
    }),
    ended: (cause) => attempts.inc({ cause }),
    lost(count) {
      nodes.inc()
      attempts.inc({ cause: 'lost' }, count)
    },
    holding(now) {
      held = now
    },
  }
}
