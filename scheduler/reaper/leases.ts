import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { liveLeases } from '#store/attempts.ts'
import type { DatabasePool } from '#store/pool.ts'
import { type KnownNode, knownNodes, markLost } from '#store/presence.ts'
import { endAttempt, silentResult } from '../finish.ts'

/** What the reaper needs to know before it takes work from a node. */
export interface LeaseReaperDeps {
  db: DatabasePool
  log: Log
  leaseMs: number
  isLeader(): boolean
  /** For how long this process has heard the bus without a break, in milliseconds. */
  busWellForMs(): number
  silentMs(nodeId: string): number | undefined
  queued(jobs: number): void
  /** Is told in each round whether it holds fire, and how many of how many nodes are silent. */
  holding?(held: boolean, silent: number, nodes: number): void
  /** Is told of each node that was declared lost, and how many attempts ended by it. */
  lost?(attempts: number): void
}

/** Below so many nodes, "most of them are silent" says nothing about the bus. */
const BREAKER_MIN_NODES = 3
/** The breaker holds for so many lease times at most: then silence is death all the same. */
const BREAKER_LEASES = 4

/** A round so often, that the work of a dead node is queued again within a lease time and half a second. */
const EVERY_MS = 500

/** Whether so many fell silent at once that the bus is to blame, and not they. */
export function tripsBreaker(nodes: number, silent: number): boolean {
  return nodes >= BREAKER_MIN_NODES && silent * 2 > nodes
}

/**
 * Declares nodes lost that were silent for a lease time, and requeues what they ran. Holds fire when this process was cut
 * off from the bus within the last lease time, and when most nodes fell silent at once: then the bus is ill, and requeueing
 * the fleet would run everything twice.
 */
export function createLeaseReaper(deps: LeaseReaperDeps): Loop {
  let breakerOpen = false

  async function reap(nodeId: string): Promise<void> {
    const done = await deps.db.transaction(async (tx) => {
      if (!(await markLost(tx, nodeId))) return undefined
      const leases = await liveLeases(tx, nodeId)
      deps.log.warn({ nodeId, attempts: leases.length, to: 'lost' }, 'node is lost')
      let [ended, queued] = [0, 0]
      // In a fixed order, so that two transactions that end attempts of the same batches do not wait for each other.
      for (const lease of leases.sort((a, b) => a.attemptId.localeCompare(b.attemptId))) {
        const outcome = await endAttempt(tx, deps.log, nodeId, lease.attemptId, lease.leaseToken, silentResult('lost', `node ${nodeId} was not heard any more`))
        if (outcome.status !== 'ok') continue
        ended++
        queued += outcome.queued
      }
      return { ended, queued }
    })
    if (!done) return
    deps.lost?.(done.ended)
    if (done.queued > 0) deps.queued(done.queued)
  }

  return createLoop({
    name: 'lease-reaper',
    everyMs: EVERY_MS,
    log: deps.log,
    async round() {
      if (!deps.isLeader()) return
      const nodes = await knownNodes(deps.db)
      const silentFor = (node: KnownNode) => Math.min(node.silentMs, deps.silentMs(node.nodeId) ?? Number.POSITIVE_INFINITY)
      const silent = nodes.filter((node) => silentFor(node) > deps.leaseMs)
      // Only those that fell silent now speak of the bus; who was silent for long would keep the breaker open for ever.
      const isOld = (node: KnownNode) => silentFor(node) > BREAKER_LEASES * deps.leaseMs
      const recent = nodes.filter((node) => !isOld(node))
      const recentSilent = silent.filter((node) => !isOld(node))
      const connected = deps.busWellForMs() >= deps.leaseMs
      const allowed = connected && !tripsBreaker(recent.length, recentSilent.length)
      const held = !allowed && recentSilent.length > 0
      deps.holding?.(held, recentSilent.length, recent.length)
      if (held && !breakerOpen)
        deps.log.error({ nodes: recent.length, silent: recentSilent.length }, 'holding fire: the bus is ill or most nodes fell silent at once')
      breakerOpen = held
      for (const node of connected ? (allowed ? silent : silent.filter(isOld)) : [])
        await reap(node.nodeId).catch((error: unknown) => deps.log.warn({ nodeId: node.nodeId, error: errorText(error) }, 'node not reaped; trying again'))
    },
  })
}
