import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { deleteOldAnswers } from '#store/idempotency.ts'
import type { DatabasePool } from '#store/pool.ts'
import { rollUpUsage } from '#store/usage.ts'

const ROWS = 10_000

/** Adds up what was used, so that what a submit looks at stays short; and forgets answers that are kept for nobody any more. */
export function createUsageRoller(db: DatabasePool, log: Log, isLeader: () => boolean): Loop {
  return createLoop({
    name: 'usage-roller',
    everyMs: 1000,
    log,
    async round(signal) {
      while (isLeader() && !signal.aborted && (await rollUpUsage(db, ROWS)) === ROWS);
      if (isLeader()) await deleteOldAnswers(db)
    },
  })
}
