import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Assignment } from '#bus/messages/claim.ts'
import { type FinishedReport, UploadsReply, UploadsRequest } from '#bus/messages/report.ts'
import { nodeRequestSubject } from '#bus/subjects.ts'
import { errorText } from '#core/errors.ts'
import type { Cause } from '#core/job/state.ts'
import { DeadlineError, nowMs, withDeadline } from '#core/service/time.ts'
import type { AttemptDeps, AttemptRun } from './attempt-run.ts'
import type { OutputPiece } from './docker/demux.ts'
import { createLogPublisher, type LogPublisher } from './log/publisher.ts'
import { createLogSink } from './log/sink.ts'
import { prepare } from './prepare.ts'
import { StepError, StopRequest } from './step-error.ts'
import { runContainer } from './steps/container.ts'
import { collectOutputs } from './steps/outputs.ts'
import { type AskUploads, uploadLog, uploadOutputs } from './steps/upload.ts'
import { removeWorkspace, type Workspace, workspaceOf } from './steps/workspace.ts'

const LOG_FLUSH_MS = 10_000
const UPLOAD_MS = 15 * 60_000
const REQUEST_MS = 10_000

interface End {
  cause: Cause
  exitCode: number | null
  transient: boolean
  message: string | null
}

/**
 * Runs an attempt through its steps: work folder, inputs, image, requirements, container, outputs, log, clean-up, and
 * last of all the report. Every step after the container is taken whatever came before; the first cause stays. An
 * attempt whose lease is over (`stale`) is cleaned up and not reported.
 */
export async function runAttempt(deps: AttemptDeps, job: Assignment, stop: AbortSignal): Promise<void> {
  const workspace = workspaceOf(deps.dir, job.attemptId)
  let report: FinishedReport | undefined
  await mkdir(workspace.dir, { recursive: true, mode: 0o700 })
  try {
    report = await runSteps(deps, job, workspace, stop)
  } catch (error) {
    if (!isStale(stop)) report = finishedReport(job, endOf(error, stop))
  } finally {
    await removeWorkspace(workspace).catch((error: unknown) =>
      deps.log.error({ attemptId: job.attemptId, error: errorText(error) }, 'the work folder could not be removed'),
    )
  }
  if (report) await deps.reporter.finished(report)
}

async function runSteps(deps: AttemptDeps, job: Assignment, workspace: Workspace, stop: AbortSignal): Promise<FinishedReport | undefined> {
  const path = join(workspace.dir, 'log.ndjson')
  let publisher: LogPublisher | undefined
  const sink = await createLogSink(path, deps.maxLogBytes, () => publisher?.poke())
  publisher = createLogPublisher(deps.bus, deps.nodeId, job.attemptId, path, deps.log)
  const run: AttemptRun = { deps, job, workspace, stop, sink, publisher, snapshot: undefined, imageDigest: null, startedAtMs: null }
  try {
    const end = await prepareAndRun(run).catch((error: unknown) => endOf(error, stop))
    if (isStale(stop)) return undefined
    if (end.cause !== 'exit' && end.message) await sink.say(`rgrid: ${end.message}`)
    const report = { ...finishedReport(job, end), imageDigest: run.imageDigest, startedAtMs: run.startedAtMs }
    await keepOutputs(run, report)
    report.logSeq = await sink.end()
    report.logArchived = await keepLog(run, path)
    report.finishedAtMs = nowMs()
    return report
  } finally {
    await publisher.stop()
    await sink.close()
  }
}

async function prepareAndRun(run: AttemptRun): Promise<End> {
  const { deps, job, stop, sink } = run
  const progress = (state: 'preparing' | 'running' | 'finishing') =>
    deps.reporter.progress({ kind: 'progress', attemptId: job.attemptId, leaseToken: job.leaseToken, state, imageDigest: run.imageDigest })
  const output = (piece: OutputPiece) => sink.write(piece.stream, piece.data)
  const container = await withDeadline('preparing', deps.prepareMs, (signal) => prepare(run, signal), stop)
  const end = await runContainer(container, {
    timeoutMs: job.spec.timeoutSeconds * 1000,
    graceMs: deps.graceMs,
    output,
    stop,
    started() {
      run.startedAtMs = nowMs()
      void progress('running')
    },
  })
  return { ...end, transient: false }
}

/** Keeps the outputs, also of a job that failed. What cannot be kept is a cause only when there is no other. */
async function keepOutputs(run: AttemptRun, report: FinishedReport): Promise<void> {
  const { job, workspace, stop } = run
  if (!run.snapshot || run.startedAtMs === null || report.cause === 'interrupted' || report.cause === 'cancelled') return
  const fail = (end: Pick<End, 'transient' | 'message'>) => {
    if (report.cause === 'exit' && report.exitCode === 0) Object.assign(report, { cause: 'output', ...end })
    else if (end.message) report.warnings.push(end.message.slice(0, 1000))
  }
  try {
    const collected = await collectOutputs(workspace.workDir, job.spec, run.snapshot)
    report.warnings.push(...collected.warnings.map((warning) => warning.slice(0, 1000)))
    if (collected.faults.length > 0) fail({ transient: false, message: collected.faults.slice(0, 5).join('; ').slice(0, 4000) })
    report.artifacts = await withDeadline('uploading outputs', UPLOAD_MS, (signal) => uploadOutputs(collected.files, askUploads(run), signal), stop)
  } catch (error) {
    const end = endOf(error, stop)
    if (end.cause === 'cancelled' || end.cause === 'interrupted') Object.assign(report, end)
    else fail({ transient: end.transient, message: end.message ?? 'the outputs cannot be kept' })
  }
}

/** Sends the rest of the log to the bus, and archives it. Without the archive the log stays on the bus for a while. */
async function keepLog(run: AttemptRun, path: string): Promise<boolean> {
  const { deps, job, sink, publisher } = run
  try {
    return await withDeadline('keeping the log', LOG_FLUSH_MS, async (signal) => {
      await publisher.finish(sink.written(), signal)
      const puts = await askUploads(run)([], true)
      if (!puts?.log) return false
      await uploadLog(path, puts.log, signal)
      return true
    })
  } catch (error) {
    deps.log.warn({ attemptId: job.attemptId, error: errorText(error) }, 'the log could not be archived')
    return false
  }
}

function askUploads(run: AttemptRun): AskUploads {
  const { deps, job } = run
  return async (files, log) => {
    const subject = nodeRequestSubject(deps.nodeId, 'uploads')
    const reply = await deps.bus.request(
      subject,
      UploadsRequest,
      UploadsReply,
      { attemptId: job.attemptId, leaseToken: job.leaseToken, files, log },
      REQUEST_MS,
    )
    return reply.status === 'ok' ? reply : undefined
  }
}

function endOf(error: unknown, stop: AbortSignal): End {
  const reason = error instanceof StopRequest ? error : stop.aborted && stop.reason instanceof StopRequest ? stop.reason : undefined
  if (reason) return { cause: reason.why === 'cancelled' ? 'cancelled' : 'interrupted', exitCode: null, transient: false, message: null }
  if (error instanceof StepError)
    return { cause: error.attemptCause, exitCode: error.exitCode, transient: error.transient, message: error.message.slice(0, 4000) }
  if (error instanceof DeadlineError) return { cause: 'input', exitCode: null, transient: true, message: error.message }
  return { cause: 'runner_error', exitCode: null, transient: true, message: errorText(error).slice(0, 4000) }
}

function isStale(stop: AbortSignal): boolean {
  return stop.aborted && stop.reason instanceof StopRequest && stop.reason.why === 'stale'
}

/** A report of this end, with nothing kept. */
export function finishedReport(lease: { attemptId: string; leaseToken: string }, end: End): FinishedReport {
  return {
    kind: 'finished',
    attemptId: lease.attemptId,
    leaseToken: lease.leaseToken,
    ...end,
    warnings: [],
    imageDigest: null,
    startedAtMs: null,
    finishedAtMs: nowMs(),
    artifacts: [],
    logSeq: 0,
    logArchived: false,
  }
}
