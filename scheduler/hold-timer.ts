import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { sleep } from '#core/service/time.ts'
import { nextHoldDueMs, releaseDueHolds } from '#store/holds.ts'
import type { DatabasePool } from '#store/pool.ts'

/** A hold made by another process is seen after at most this long. */
const LOOK_EVERY_MS = 1000

/** Lets jobs whose time has come into the queue: asks for the next due time and is there then. */
export function createHoldTimer(db: DatabasePool, log: Log, isLeader: () => boolean, queued: (jobs: number) => void): Loop {
  return createLoop({
    name: 'hold-timer',
    everyMs: LOOK_EVERY_MS,
    log,
    async round(signal) {
      while (isLeader()) {
        const dueMs = await nextHoldDueMs(db)
        if (dueMs === undefined || dueMs > LOOK_EVERY_MS) return
        await sleep(Math.ceil(dueMs), signal)
        const released = await releaseDueHolds(db)
        if (released > 0) queued(released)
      }
    },
  })
}
