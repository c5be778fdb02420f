import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import type { DatabasePool } from '#store/pool.ts'
import { auditStep, RETENTION_STEPS } from '#store/retention.ts'

const EVERY_MS = 5 * 60_000
/** Small, so that no transaction is long; as long as a step finds as many as this, it goes on. */
const BATCH = 200

/** Takes away what is past the retention of its project: artifacts, logs, then jobs and batches; and what is in the audit log for so many days. */
export function createRetention(db: DatabasePool, log: Log, isLeader: () => boolean, auditDays: number): Loop {
  const steps = [...RETENTION_STEPS, auditStep(auditDays)]
  return createLoop({
    name: 'retention',
    everyMs: EVERY_MS,
    log,
    async round(signal) {
      for (const step of steps) {
        let total = 0
        for (let found = BATCH; found >= BATCH && isLeader() && !signal.aborted; total += found) found = await step.run(db, BATCH)
        if (total > 0) log.info({ step: step.name, removed: total }, 'past its retention')
      }
    },
  })
}
