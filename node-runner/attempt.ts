import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { FinishedReport } from '#bus/messages/report.ts'
import { errorText } from '#core/errors.ts'
import { nowMs } from '#core/service/time.ts'
import { traceIdOf } from '#core/service/trace-context.ts'
import type { AttemptDeps, AttemptRun } from './attempt-run.ts'
import { containerName } from './docker/options.ts'
import { execute } from './execute.ts'
import { maskText } from './log/mask.ts'
import { createLogPublisher, type LogPublisher } from './log/publisher.ts'
import { createLogSink } from './log/sink.ts'
import { type AttemptRecord, bootId, saveRecord, secretsOf } from './record.ts'
import { type End, endOf, isStale, Leaving, StopRequest } from './step-error.ts'
import { removeContainer } from './steps/container.ts'
import { finishedReport, keepLog, keepOutputs } from './steps/keep.ts'
import { removeWorkDir, removeWorkspace, workspaceOf } from './steps/workspace.ts'
import { type AttemptWatch, watchAttempt } from './watch.ts'

/**
 * Brings an attempt from wherever its record says it is to its end: work folder, inputs, image, container, outputs, log,
 * clean-up, and last of all the report. Every step after the container is taken whatever came before; the first cause
 * stays. An attempt whose lease is over is cleaned up and not reported; when the process leaves, all stays as it is for the
 * next start. `archiveLater` takes an acknowledged attempt whose log is not archived yet.
 */
export async function runAttempt(given: AttemptDeps, record: AttemptRecord, stop: AbortSignal, archiveLater: (attemptId: string) => void): Promise<void> {
  const { attemptId } = record.assignment
  const watch = watchAttempt(record.assignment, given.nodeId, given.meters, given.tracer)
  const traceId = traceIdOf(watch.context)
  const deps = traceId === undefined ? given : { ...given, log: given.log.child({ traceId }) }
  const workspace = workspaceOf(deps.dir, attemptId)
  const isNew = (await mkdir(workspace.dir, { recursive: true, mode: 0o700 })) !== undefined
  try {
    record.report ??= withoutSecrets(record, await runSteps(deps, record, isNew, stop, watch).catch((error: unknown) => brokenReport(record, error, stop)))
    await saveRecord(workspace, record, true).catch((error: unknown) =>
      deps.log.error({ attemptId, error: errorText(error) }, 'the report could not be written down; it is sent from memory'),
    )
    await removeWorkDir(workspace).catch((error: unknown) => deps.log.error({ attemptId, error: errorText(error) }, 'the work folder could not be removed'))
    watch.end(record.report.cause)
    const status = await deps.reporter.finished(record.report, deps.leaving)
    if (status === 'ok') deps.meters.ended(record.report.cause)
    if (status === 'ok' && !record.report.logArchived && record.report.logSeq > 0) {
      await saveRecord(workspace, { ...record, acknowledged: true })
      archiveLater(attemptId)
      return
    }
  } catch (error) {
    if (error instanceof Leaving) return
    if (!(error instanceof StopRequest)) throw error
  } finally {
    watch.end()
  }
  await removeWorkspace(workspace)
}

/** What is said of an attempt that the runner could not bring to its end. */
function brokenReport(record: AttemptRecord, error: unknown, stop: AbortSignal): FinishedReport {
  if (error instanceof Leaving || isStale(stop)) throw error
  return { ...finishedReport(record.assignment, endOf(error, stop)), imageDigest: record.imageDigest, startedAtMs: record.startedAtMs }
}

/** What we say of an attempt may hold words of the job. */
function withoutSecrets({ assignment }: AttemptRecord, report: FinishedReport): FinishedReport {
  const secrets = secretsOf(assignment)
  const { message, warnings } = report
  return { ...report, message: message === null ? null : maskText(message, secrets), warnings: warnings.map((warning) => maskText(warning, secrets)) }
}

/** Throws a StopRequest when the attempt is somebody else's, Leaving when the process goes. */
async function runSteps(deps: AttemptDeps, record: AttemptRecord, isNew: boolean, stop: AbortSignal, watch: AttemptWatch): Promise<FinishedReport> {
  const { attemptId } = record.assignment
  const workspace = workspaceOf(deps.dir, attemptId)
  const logPath = join(workspace.dir, 'log.ndjson')
  let publisher: LogPublisher | undefined
  const appended = (bytes: number) => {
    publisher?.poke()
    deps.meters.logged(bytes)
  }
  const sink = await createLogSink(logPath, deps.maxLogBytes, appended, deps.meters.logCut)
  publisher = createLogPublisher(deps.bus, deps.nodeId, attemptId, logPath, deps.log)
  const secrets = secretsOf(record.assignment)
  const run: AttemptRun = { deps, record, isNew, workspace, logPath, secrets, stop, sink, publisher, watch }
  try {
    if (!isNew) await settleLeft(run)
    record.end ??= await executeToEnd(run)
    if (isStale(stop)) throw new StopRequest('stale')
    const report = { ...finishedReport(record.assignment, record.end), imageDigest: record.imageDigest, startedAtMs: record.startedAtMs }
    await keepOutputs(run, report)
    report.logSeq = await sink.end()
    report.logArchived = await keepLog(run)
    report.finishedAtMs = nowMs()
    return report
  } finally {
    await publisher.stop()
    await sink.close()
  }
}

/** What of an earlier run cannot be gone on with: work folders do not outlive the machine, an ended container is not needed. */
async function settleLeft({ deps, record }: AttemptRun): Promise<void> {
  if (record.bootId !== bootId()) record.end = { cause: 'interrupted', exitCode: null, transient: true, nodeFault: true, message: 'the machine was restarted' }
  if (record.end) await removeContainer(deps.docker.getContainer(containerName(record.assignment.attemptId)))
}

async function executeToEnd(run: AttemptRun): Promise<End> {
  const end = await execute(run).catch((error: unknown) => {
    if (error instanceof Leaving || run.deps.leaving.aborted) throw new Leaving()
    return endOf(error, run.stop)
  })
  if (!isStale(run.stop) && end.cause !== 'exit' && end.message) await run.sink.say(maskText(end.message, run.secrets))
  return end
}
