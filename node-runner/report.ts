import { readdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Value } from '@sinclair/typebox/value'
import type { Bus } from '#bus/bus.ts'
import { FinishedReport, ReportReply, ReportRequest } from '#bus/messages/report.ts'
import { nodeRequestSubject } from '#bus/subjects.ts'
import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { pause } from '#core/service/time.ts'
import { writeDurably } from './files.ts'

const TIMEOUT_MS = 5000
const RETRY_MS = 1000

/** Reports about attempts to the scheduler. */
export interface Reporter {
  /** A step on the way. Tried once: the end says it all again. Returns false when the lease is over. */
  progress(report: Extract<ReportRequest, { kind: 'progress' }>): Promise<boolean>
  /** The end of an attempt: written to disk first, then sent until it is answered. */
  finished(report: FinishedReport): Promise<void>
  /** Reports that an earlier run of this process could not send. */
  unsent(): Promise<FinishedReport[]>
  /** Attempts whose end is not acknowledged yet: their leases are still ours. */
  pending(): { attemptId: string; leaseToken: string }[]
}

/** See the interface. `signal` ends the trying; what is not sent then stays on disk for the next start. */
export function createReporter(bus: Bus, nodeId: string, dir: string, log: Log, signal: AbortSignal): Reporter {
  const subject = nodeRequestSubject(nodeId, 'report')
  const spool = join(dir, 'spool')
  const pending = new Map<string, string>()
  const send = (report: ReportRequest) => bus.request(subject, ReportRequest, ReportReply, report, TIMEOUT_MS)

  return {
    async progress(report) {
      try {
        return (await send(report)).status === 'ok'
      } catch (error) {
        log.debug({ attemptId: report.attemptId, error: errorText(error) }, 'a progress report was not answered')
        return true
      }
    },
    async finished(report) {
      const path = join(spool, `${report.attemptId}.json`)
      pending.set(report.attemptId, report.leaseToken)
      await writeDurably(path, JSON.stringify(report))
      while (!signal.aborted) {
        try {
          const { status } = await send(report)
          log.info({ jobId: undefined, attemptId: report.attemptId, cause: report.cause, exitCode: report.exitCode, status }, 'end reported')
          await rm(path, { force: true })
          pending.delete(report.attemptId)
          return
        } catch (error) {
          log.warn({ attemptId: report.attemptId, error: errorText(error) }, 'the end was not acknowledged; sending it again')
          await pause(RETRY_MS, signal)
        }
      }
    },
    async unsent() {
      const names = await readdir(spool).catch((error: NodeJS.ErrnoException) => {
        if (error.code === 'ENOENT') return []
        throw error
      })
      const reports = await Promise.all(
        names.filter((name) => name.endsWith('.json')).map(async (name): Promise<unknown> => JSON.parse(await readFile(join(spool, name), 'utf8'))),
      )
      return reports.filter((report) => Value.Check(FinishedReport, report))
    },
    pending: () => [...pending].map(([attemptId, leaseToken]) => ({ attemptId, leaseToken })),
  }
}
