import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { overdueAttempts } from '#store/attempts.ts'
import { retireBought } from '#store/nodes.ts'
import type { DatabasePool } from '#store/pool.ts'
import { endAttempt, silentResult } from '../finish.ts'

/** What this reaper needs to know before it takes work from a node. */
export interface OverdueReaperDeps {
  db: DatabasePool
  log: Log
  /** Given to an attempt beyond its own limits, for its uploads and its report. */
  slackSeconds: number
  isLeader(): boolean
  /** For how long this process has heard the bus without a break, in milliseconds. */
  busWellForMs(): number
  queued(jobs: number): void
  /** Is told of each attempt that was taken from its node. */
  ended?(cause: 'lost'): void
}

const EVERY_MS = 15_000
/** A cancel ends with no upload that it waits for; and after an outage so long is given to reports that could not be made. */
const REPORT_SECONDS = 300

/**
 * Takes attempts from nodes that keep them past every limit. Limits are kept by nodes, and a node that is heard keeps its
 * lease: without this one that is broken, or another's, would hold its jobs, and be paid for, for ever. The job is run
 * elsewhere; a machine that was bought takes no more work and goes. A node that is honest hears that its lease is stale.
 */
export function createOverdueReaper(deps: OverdueReaperDeps): Loop {
  const { db, log } = deps
  const cancelSeconds = Math.min(REPORT_SECONDS, deps.slackSeconds)

  async function take({ attemptId, nodeId, leaseToken }: Awaited<ReturnType<typeof overdueAttempts>>[number]): Promise<void> {
    const done = await db.transaction(async (tx) => {
      // The node before its attempts, as those do who declare it lost.
      const drained = await retireBought(tx, nodeId)
      const outcome = await endAttempt(tx, log, nodeId, attemptId, leaseToken, silentResult('lost', `node ${nodeId} kept it past all its limits`))
      return outcome.status === 'ok' ? { queued: outcome.queued, drained } : undefined
    })
    if (!done) return
    log.error({ attemptId, nodeId, to: done.drained ? 'draining' : undefined }, 'a node kept an attempt past all its limits; it was taken from it')
    deps.ended?.('lost')
    if (done.queued > 0) deps.queued(done.queued)
  }

  return createLoop({
    name: 'overdue-reaper',
    everyMs: EVERY_MS,
    log,
    async round() {
      if (!deps.isLeader() || deps.busWellForMs() < cancelSeconds * 1000) return
      for (const attempt of await overdueAttempts(db, { limitSeconds: deps.slackSeconds, cancelSeconds }))
        await take(attempt).catch((error: unknown) => log.warn({ attemptId: attempt.attemptId, error: errorText(error) }, 'not taken; trying again'))
    },
  })
}
