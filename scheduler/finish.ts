import { attemptStateFor, decide, isNodeFault } from '#core/job/outcome.ts'
import type { Cause } from '#core/job/state.ts'
import type { Log } from '#core/service/log.ts'
import { parseTraceContext, traceIdOf } from '#core/service/trace-context.ts'
import { applyDecision, finishAttempt } from '#store/attempt-end.ts'
import { batchOfAttempt, lockAttempt } from '#store/attempts.ts'
import { lockBatch, releaseBatchHolds, settleBatch } from '#store/holds.ts'
import type { Tx } from '#store/pool.ts'

/** How an attempt ended, whoever says so. */
export interface AttemptResult {
  cause: Cause
  exitCode: number | null
  transient: boolean
  /** See AttemptEnd. */
  nodeFault?: boolean
  message: string | null
  warnings: readonly string[]
  imageDigest: string | null
  startedAtMs: number | null
  artifacts: readonly { path: string; sizeBytes: number; sha256: string; executable: boolean }[]
  logSeq: number | null
  logArchived: boolean
}

/** The result of an attempt whose node will say nothing more. */
export function silentResult(cause: 'lost' | 'interrupted', message: string): AttemptResult {
  return {
    cause,
    exitCode: null,
    transient: true,
    message,
    warnings: [],
    imageDigest: null,
    startedAtMs: null,
    artifacts: [],
    logSeq: null,
    logArchived: false,
  }
}

/** What ending an attempt led to: `stale` when the lease was not live; else how many jobs may be claimed now. */
export type FinishOutcome = { status: 'stale' } | { status: 'repeat' } | { status: 'ok'; queued: number }

/**
 * Ends an attempt and does with its job what follows: success, failure, retry, hold; frees places in its batch. The
 * caller owns the transaction. A second result of the same attempt changes nothing: `repeat` when the first one was
 * the node's own too, `stale` when someone else had ended it (lost).
 */
export async function endAttempt(
  tx: Tx,
  log: Log,
  nodeId: string,
  attemptId: string,
  leaseToken: string | null,
  result: AttemptResult,
): Promise<FinishOutcome> {
  const known = await batchOfAttempt(tx, attemptId)
  if (!known) return { status: 'stale' }
  if (known.batchId !== null) await lockBatch(tx, known.batchId)
  const attempt = await lockAttempt(tx, nodeId, attemptId, leaseToken)
  if (!attempt) return { status: 'stale' }
  if (attempt.finished) return { status: attempt.state === 'lost' ? 'stale' : 'repeat' }

  const decision = decide(attempt.spec, attempt, result, attempt.cancelRequested)
  const record = { ...result, state: attemptStateFor(result), nodeFault: isNodeFault(result) }
  await finishAttempt(tx, attempt, record)
  await applyDecision(tx, attempt, decision, record)
  let queued = decision.to === 'queued' ? 1 : 0
  if (attempt.batchId !== null) {
    await settleBatch(tx, attempt.batchId)
    queued += await releaseBatchHolds(tx, attempt.batchId)
  }
  const traceId = traceIdOf(parseTraceContext(attempt.traceContext))
  log.info(
    { jobId: attempt.jobId, attemptId, nodeId, traceId, from: 'running', to: decision.to, cause: result.cause, exitCode: result.exitCode },
    'attempt ended',
  )
  return { status: 'ok', queued }
}
