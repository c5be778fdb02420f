import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { cordonNode, fleetOf, liftCordons, provenFaults } from '#store/cordons.ts'
import type { DatabasePool } from '#store/pool.ts'
import { judgeNodes } from './judge-nodes.ts'

/** What is needed to take sick nodes out of work. */
export interface SickNodesDeps {
  db: DatabasePool
  log: Log
  /** So many jobs must have failed by the fault of a node. 0: no node is cordoned. */
  limit: number
  /** After so long a node that was set up by hand is tried again. */
  retrySeconds: number
  isLeader(): boolean
  /** May be lost: the node's next renewal says it again. */
  tell(nodeId: string, what: 'drain' | 'resume'): void
  /** Is told in each round how many nodes are cordoned, and whether none more is as too many fail jobs. */
  judged?(cordoned: number, held: boolean): void
}

const EVERY_MS = 5000

/**
 * Cordons nodes that fail jobs which others do: a node that fails at once is always the emptiest, and would get job after job. What
 * runs there may end. A machine that was bought goes at the end of its hour and is replaced; one that was set up by hand is tried
 * again after a while, or when an operator says so (`rgrid nodes resume`).
 */
export function createSickNodes(deps: SickNodesDeps): Loop {
  const { db, log } = deps
  let holding = false

  async function lift(): Promise<void> {
    for (const nodeId of await liftCordons(db, deps.retrySeconds)) {
      log.warn({ nodeId, from: 'draining', to: 'ready' }, 'a node that was cordoned is tried again')
      deps.tell(nodeId, 'resume')
    }
  }

  async function cordon(nodeId: string, reason: string): Promise<boolean> {
    const done = await cordonNode(db, nodeId, reason)
    if (!done) return false
    log.error({ nodeId, to: 'draining', why: reason }, 'a node is cordoned: it fails jobs that others do')
    deps.tell(nodeId, 'drain')
    return true
  }

  return createLoop({
    name: 'sick-nodes',
    everyMs: EVERY_MS,
    log,
    async round() {
      if (!deps.isLeader()) return
      await lift()
      const faults = deps.limit > 0 ? await provenFaults(db) : []
      const fleet = await fleetOf(db, [...new Set(faults.map(({ nodeId }) => nodeId))])
      const verdict = judgeNodes(fleet, faults, deps.limit)
      if (verdict.held && !holding) log.error({ nodes: fleet.length }, 'too many nodes fail jobs for it to be their own fault; none more is cordoned')
      holding = verdict.held
      let cordoned = fleet.filter((node) => node.cordoned).length
      for (const { nodeId, reason } of verdict.cordon) {
        const done = await cordon(nodeId, reason).catch((error: unknown) => log.warn({ nodeId, error: errorText(error) }, 'not cordoned; trying again'))
        if (done === true) cordoned++
      }
      deps.judged?.(cordoned, verdict.held)
    },
  })
}
