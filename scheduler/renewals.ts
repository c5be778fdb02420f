import type { RenewReply, RenewRequest } from '#bus/messages/node.ts'
import { imageKey } from '#core/image-name.ts'
import type { Log } from '#core/service/log.ts'
import { liveLeases } from '#store/attempts.ts'
import type { DatabasePool } from '#store/pool.ts'
import { recordRenewal } from '#store/presence.ts'
import { endAttempt, silentResult } from './finish.ts'

/** An assignment that its node does not name for so long never reached it. */
const UNHEARD_MS = 15_000

/**
 * Compares the leases a node believes to hold with those it has: tells it which are over and which to cancel, and
 * takes back those it never heard of (the answer to its claim was lost).
 */
export async function answerRenewal(
  db: DatabasePool,
  log: Log,
  nodeId: string,
  request: RenewRequest,
  queued: (jobs: number) => void,
  ended: (cause: 'lost') => void = () => undefined,
  popular: readonly string[] = [],
): Promise<RenewReply> {
  const node = await recordRenewal(db, nodeId, request.containers, request.images)
  const live = new Map((await liveLeases(db, nodeId)).map((lease) => [lease.attemptId, lease]))
  const stale: string[] = []
  const cancel: string[] = []
  for (const { attemptId, leaseToken } of request.attempts) {
    const lease = live.get(attemptId)
    if (lease?.leaseToken !== leaseToken) stale.push(attemptId)
    else if (lease.cancelRequested) cancel.push(attemptId)
    live.delete(attemptId)
  }
  for (const lease of live.values()) {
    if (lease.ageMs < UNHEARD_MS) continue
    const outcome = await db.transaction((tx) =>
      endAttempt(tx, log, nodeId, lease.attemptId, lease.leaseToken, silentResult('interrupted', 'the node never heard of it')),
    )
    if (outcome.status === 'ok') ended('lost')
    if (outcome.status === 'ok' && outcome.queued > 0) queued(outcome.queued)
  }
  const has = new Set(request.images)
  const pull = node?.young && request.images ? popular.filter((image) => !has.has(imageKey(image))) : []
  return { stale, cancel, drain: node?.drain ?? false, ...(node?.patient ? { patient: true } : {}), ...(pull.length > 0 ? { pull } : {}) }
}
