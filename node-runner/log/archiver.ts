import { join } from 'node:path'
import { errorText } from '#core/errors.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { withDeadline } from '#core/service/time.ts'
import type { AttemptDeps } from '../attempt-run.ts'
import { readRecord } from '../record.ts'
import { Leaving } from '../step-error.ts'
import { archiveLog } from '../steps/keep.ts'
import { removeWorkspace, workspaceOf } from '../steps/workspace.ts'

const EVERY_MS = 10_000
const UPLOAD_MS = 60_000

/** Archives logs whose attempts have ended while the object store was away. */
export interface LogArchiver {
  add(attemptId: string): void
  /** The attempts whose folders it still needs. */
  waiting(): ReadonlySet<string>
  loop: Loop
}

/** See the interface. Tries again until it succeeds, or the scheduler says that nobody wants the log any more. */
export function createLogArchiver(deps: AttemptDeps): LogArchiver {
  const waiting = new Set<string>()

  async function archive(attemptId: string, signal: AbortSignal): Promise<void> {
    const workspace = workspaceOf(deps.dir, attemptId)
    const record = await readRecord(workspace)
    if (record?.report) {
      const { leaseToken, logSeq } = record.report
      const path = join(workspace.dir, 'log.ndjson')
      const kept = await withDeadline('archiving a log', UPLOAD_MS, (limit) => archiveLog(deps, { attemptId, leaseToken }, path, limit), signal)
      if (kept) await deps.reporter.finished({ kind: 'log', attemptId, leaseToken, logSeq }, signal)
    }
    await removeWorkspace(workspace)
    waiting.delete(attemptId)
  }

  return {
    add: (attemptId) => void waiting.add(attemptId),
    waiting: () => waiting,
    loop: createLoop({
      name: 'log-archiver',
      everyMs: EVERY_MS,
      log: deps.log,
      async round(signal) {
        for (const attemptId of waiting) {
          if (signal.aborted) return
          await archive(attemptId, signal).catch((error: unknown) => {
            if (!(error instanceof Leaving)) deps.log.warn({ attemptId, error: errorText(error) }, 'a log could not be archived; trying again')
          })
        }
      },
    }),
  }
}
