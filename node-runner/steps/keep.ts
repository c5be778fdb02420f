import { type FinishedReport, UploadsReply, UploadsRequest } from '#bus/messages/report.ts'
import { nodeRequestSubject } from '#bus/subjects.ts'
import { errorText } from '#core/errors.ts'
import { nowMs, pause, untilAborted, withDeadline } from '#core/service/time.ts'
import type { AttemptDeps, AttemptRun } from '../attempt-run.ts'
import { type End, endOf, isStale, Leaving, StepError, StopRequest } from '../step-error.ts'
import { collectOutputs } from './outputs.ts'
import { type AskUploads, uploadLog, uploadOutputs } from './upload.ts'

const REQUEST_MS = 10_000
const ASK_AGAIN_MS = 1000
/** A log that cannot be archived within this time is archived later; the job does not wait for it. */
const ARCHIVE_MS = 15_000

/** Keeps the outputs, also of a job that failed. What cannot be kept is a cause only when there is no other. */
export async function keepOutputs(run: AttemptRun, report: FinishedReport): Promise<void> {
  const { record, workspace, stop, deps } = run
  if (!record.snapshot || record.startedAtMs === null || report.cause === 'interrupted' || report.cause === 'cancelled') return
  const fail = (end: Pick<End, 'transient' | 'message'>) => {
    if (report.cause === 'exit' && report.exitCode === 0) Object.assign(report, { cause: 'output', ...end })
    else if (end.message) report.warnings.push(end.message.slice(0, 1000))
  }
  try {
    const collected = await collectOutputs(workspace.workDir, record.assignment.spec, new Map(record.snapshot))
    report.warnings.push(...collected.warnings.map((warning) => warning.slice(0, 1000)))
    if (collected.faults.length > 0) fail({ transient: false, message: collected.faults.slice(0, 5).join('; ').slice(0, 4000) })
    if (collected.files.length === 0) return
    const { attemptId, leaseToken } = record.assignment
    void deps.reporter.progress({ kind: 'progress', attemptId, leaseToken, state: 'finishing', imageDigest: record.imageDigest })
    const either = AbortSignal.any([stop, deps.leaving])
    const upload = () => untilAborted(uploadOutputs(collected.files, askUploads(deps, record.assignment, either), deps.uploadMs, either), either)
    report.artifacts = await run.watch.step('upload', upload)
    const bytes = report.artifacts.reduce((sum, artifact) => sum + artifact.sizeBytes, 0)
    deps.meters.uploaded('output', report.artifacts.length, bytes)
  } catch (error) {
    if (deps.leaving.aborted) throw new Leaving()
    const end = endOf(error, stop)
    if (end.cause === 'cancelled' || end.cause === 'interrupted') Object.assign(report, end)
    else fail({ transient: error instanceof StepError ? error.transient : true, message: `the outputs cannot be kept: ${end.message}` })
  }
}

/**
 * Sends the rest of the log to the bus, for however long that is away: without it nobody hears of the end either. Then
 * archives it; false when the object store is away, and the archive is to be made later.
 */
export async function keepLog(run: AttemptRun): Promise<boolean> {
  const { deps, record, sink, publisher, stop } = run
  const staleOrLeaving = AbortSignal.any([deps.leaving, staleSignal(stop)])
  if (!(await publisher.finish(sink.written(), staleOrLeaving))) throw isStale(stop) ? new StopRequest('stale') : new Leaving()
  try {
    const archive = (signal: AbortSignal) => archiveLog(deps, record.assignment, run.logPath, signal)
    return await run.watch.step('archive', () => withDeadline('archiving the log', ARCHIVE_MS, archive, staleOrLeaving))
  } catch (error) {
    deps.log.warn({ attemptId: record.assignment.attemptId, error: errorText(error) }, 'the log is archived later')
    return false
  }
}

/** Uploads a log that is whole. False when its attempt is somebody else's. */
export async function archiveLog(deps: AttemptDeps, lease: { attemptId: string; leaseToken: string }, path: string, signal: AbortSignal): Promise<boolean> {
  const puts = await askUploads(deps, lease, signal)([], true)
  if (!puts?.log) return false
  deps.meters.uploaded('log', 1, await uploadLog(path, puts.log, signal))
  return true
}

/** Asks until there is an answer: a bus that is away for a while is no fault of the outputs. */
function askUploads(deps: AttemptDeps, lease: { attemptId: string; leaseToken: string }, signal: AbortSignal): AskUploads {
  const subject = nodeRequestSubject(deps.nodeId, 'uploads')
  const { attemptId, leaseToken } = lease
  return async (files, log) => {
    for (;;) {
      try {
        const reply = await deps.bus.request(subject, UploadsRequest, UploadsReply, { attemptId, leaseToken, files, log }, REQUEST_MS)
        return reply.status === 'ok' ? reply : undefined
      } catch (error) {
        deps.log.debug({ attemptId, error: errorText(error) }, 'nobody said where to upload; asking again')
        await pause(ASK_AGAIN_MS, signal)
        signal.throwIfAborted()
      }
    }
  }
}

/** Aborted only when the attempt is somebody else's: a cancel does not keep its log from being kept. */
function staleSignal(stop: AbortSignal): AbortSignal {
  const stale = new AbortController()
  const look = () => {
    if (isStale(stop)) stale.abort(stop.reason)
  }
  look()
  stop.addEventListener('abort', look, { once: true })
  return stale.signal
}

/** A report of this end, with nothing kept. */
export function finishedReport(lease: { attemptId: string; leaseToken: string }, end: End): FinishedReport {
  return {
    kind: 'finished',
    attemptId: lease.attemptId,
    leaseToken: lease.leaseToken,
    cause: end.cause,
    exitCode: end.exitCode,
    transient: end.transient,
    ...(end.nodeFault === undefined ? {} : { nodeFault: end.nodeFault }),
    message: end.message,
    warnings: [],
    imageDigest: null,
    startedAtMs: null,
    finishedAtMs: nowMs(),
    artifacts: [],
    logSeq: 0,
    logArchived: false,
  }
}
