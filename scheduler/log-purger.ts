import type { Bus } from '#bus/bus.ts'
import { purgeLog } from '#bus/log-purge.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { readLiveCopies, recordPurged } from '#store/archived-logs.ts'
import type { Db } from '#store/pool.ts'

const EVERY_MS = 5000
const BATCH = 200

/**
 * Takes logs that are archived off the bus. After a grace, as followers read on from there; one that is later still goes on
 * out of the archive.
 */
export function createLogPurger(db: Db, bus: Bus, log: Log, isLeader: () => boolean, graceSeconds: number): Loop {
  return createLoop({
    name: 'log-purger',
    everyMs: EVERY_MS,
    log,
    async round(signal) {
      for (let found = BATCH; found === BATCH && isLeader() && !signal.aborted; ) {
        const copies = await readLiveCopies(db, graceSeconds, BATCH)
        for (const { nodeId, attemptId } of copies) await purgeLog(bus, nodeId, attemptId)
        if (copies.length > 0)
          await recordPurged(
            db,
            copies.map(({ attemptId }) => attemptId),
          )
        found = copies.length
      }
    },
  })
}
