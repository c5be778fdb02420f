import type { Bus } from '#bus/bus.ts'
import { type FinishedReport, type ProgressReport, ReportReply, ReportRequest } from '#bus/messages/report.ts'
import { nodeRequestSubject } from '#bus/subjects.ts'
import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { pause } from '#core/service/time.ts'
import { Leaving, StopRequest } from './step-error.ts'

const TIMEOUT_MS = 5000
const RETRY_MS = 1000

/** Reports about attempts to the scheduler. */
export interface Reporter {
  /** A step on the way. Tried once: the end says it all again. */
  progress(report: ProgressReport): Promise<void>
  /**
   * Asks whether the attempt is still to be run, until there is an answer; throws a StopRequest when not. What holds a node
   * that was away for a while from starting what is somebody else's by now, or cancelled.
   */
  confirm(report: ProgressReport, signal: AbortSignal): Promise<void>
  /** The end of an attempt, or that its log is archived: sent until it is answered. Throws Leaving when the signal comes first. */
  finished(report: Exclude<ReportRequest, ProgressReport>, signal: AbortSignal): Promise<'ok' | 'stale'>
}

/** See the interface. */
export function createReporter(bus: Bus, nodeId: string, log: Log): Reporter {
  const subject = nodeRequestSubject(nodeId, 'report')
  const send = (report: ReportRequest) => bus.request(subject, ReportRequest, ReportReply, report, TIMEOUT_MS)

  return {
    async progress(report) {
      await send(report).catch((error: unknown) => log.debug({ attemptId: report.attemptId, error: errorText(error) }, 'a progress report was not answered'))
    },
    async confirm(report, signal) {
      for (;;) {
        signal.throwIfAborted()
        try {
          const { status } = await send(report)
          if (status === 'ok') return
          throw new StopRequest(status === 'cancel' ? 'cancelled' : 'stale')
        } catch (error) {
          if (error instanceof StopRequest) throw error
          log.debug({ attemptId: report.attemptId, error: errorText(error) }, 'nobody said whether to run it; asking again')
          await pause(RETRY_MS, signal)
        }
      }
    },
    async finished(report, signal) {
      for (;;) {
        if (signal.aborted) throw new Leaving()
        try {
          const { status } = await send(report)
          log.info({ attemptId: report.attemptId, kind: report.kind, ...endIn(report), status }, 'end reported')
          return status === 'stale' ? 'stale' : 'ok'
        } catch (error) {
          log.warn({ attemptId: report.attemptId, error: errorText(error) }, 'the end was not acknowledged; sending it again')
          await pause(RETRY_MS, signal)
        }
      }
    },
  }
}

function endIn(report: Exclude<ReportRequest, ProgressReport>): Partial<FinishedReport> {
  return report.kind === 'finished' ? { cause: report.cause, exitCode: report.exitCode } : {}
}
