import type { FinishedReport, LogReport, ProgressReport, ReportReply, ReportRequest } from '#bus/messages/report.ts'
import { type Cause, canAttemptGo } from '#core/job/state.ts'
import type { Log } from '#core/service/log.ts'
import { nowMs } from '#core/service/time.ts'
import { recordLateResult, recordLogArchived } from '#store/attempt-end.ts'
import { lockAttempt, recordProgress } from '#store/attempts.ts'
import type { DatabasePool } from '#store/pool.ts'
import { endAttempt } from './finish.ts'

/** Writes down what nodes report about their attempts. Reports may come twice, late or out of order. */
export interface Reports {
  report(nodeId: string, report: ReportRequest): Promise<ReportReply>
}

/**
 * `queued` is told how many jobs became claimable, `ended` how each attempt ended, `started` how many seconds after its claim
 * the container of an attempt ran.
 */
export function createReports(
  db: DatabasePool,
  log: Log,
  queued: (jobs: number) => void,
  ended: (cause: Cause) => void = () => undefined,
  started: (seconds: number) => void = () => undefined,
): Reports {
  async function finished(nodeId: string, report: FinishedReport): Promise<ReportReply> {
    const outcome = await db.transaction(async (tx) => {
      const end = await endAttempt(tx, log, nodeId, report.attemptId, report.leaseToken, storable(report))
      if (end.status === 'stale') await recordLateResult(tx, nodeId, report.attemptId, report.leaseToken, report)
      return end
    })
    if (outcome.status === 'stale') {
      log.info({ attemptId: report.attemptId, nodeId, cause: report.cause }, 'late result of an attempt that is over; nothing changed')
      return { status: 'stale' }
    }
    if (outcome.status === 'ok') ended(report.cause)
    if (outcome.status === 'ok' && outcome.queued > 0) queued(outcome.queued)
    return { status: 'ok' }
  }

  async function progress(nodeId: string, report: ProgressReport): Promise<ReportReply> {
    return db.transaction(async (tx) => {
      const attempt = await lockAttempt(tx, nodeId, report.attemptId, report.leaseToken)
      if (!attempt || attempt.finished) return { status: 'stale' }
      if (canAttemptGo(attempt.state, report.state)) {
        await recordProgress(tx, attempt, report.state, report.imageDigest)
        if (report.state === 'running') started(attempt.assignedSeconds)
      }
      return { status: attempt.cancelRequested ? 'cancel' : 'ok' }
    })
  }

  async function logArchived(nodeId: string, report: LogReport): Promise<ReportReply> {
    const known = await db.transaction((tx) => recordLogArchived(tx, nodeId, report.attemptId, report.leaseToken, report.logSeq))
    return { status: known ? 'ok' : 'stale' }
  }

  return {
    report(nodeId, report) {
      if (report.kind === 'finished') return finished(nodeId, report)
      return report.kind === 'log' ? logArchived(nodeId, report) : progress(nodeId, report)
    },
  }
}

/**
 * What Postgres cannot hold (NUL, half a surrogate) is replaced: a node may send it, with a job's own words in it, and a
 * report that is refused would come again for ever.
 */
function storable(report: FinishedReport): FinishedReport {
  const clean = (text: string) => text.toWellFormed().replaceAll('\u0000', '\ufffd')
  return {
    ...report,
    // A clock that is far off must not keep a result from being taken.
    startedAtMs: report.startedAtMs === null ? null : Math.min(Math.max(report.startedAtMs, 0), nowMs()),
    message: report.message === null ? null : clean(report.message),
    imageDigest: report.imageDigest === null ? null : clean(report.imageDigest),
    warnings: report.warnings.map(clean),
    artifacts: report.artifacts.map((artifact) => ({ ...artifact, path: clean(artifact.path) })),
  }
}
