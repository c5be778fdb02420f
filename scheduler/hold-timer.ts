import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { sleep } from '#core/service/time.ts'
import { nextHoldDueMs, releaseDueHolds } from '#store/holds.ts'
import type { DatabasePool } from '#store/pool.ts'
import { failOverdue, nextOverdueMs } from '#store/queue-limit.ts'

/** A time written by another process is seen after at most this long. */
const LOOK_EVERY_MS = 1000

/**
 * Lets jobs whose time has come into the queue, and fails those that waited in it for too long: asks for the next due
 * time, by an index, and is there then.
 */
export function createHoldTimer(db: DatabasePool, log: Log, isLeader: () => boolean, queued: (jobs: number) => void): Loop {
  return createLoop({
    name: 'hold-timer',
    everyMs: LOOK_EVERY_MS,
    log,
    async round(signal) {
      while (isLeader()) {
        const dueMs = Math.min((await nextHoldDueMs(db)) ?? Number.POSITIVE_INFINITY, (await nextOverdueMs(db)) ?? Number.POSITIVE_INFINITY)
        if (dueMs > LOOK_EVERY_MS) return
        await sleep(Math.ceil(dueMs), signal)
        const overdue = await failOverdue(db)
        if (overdue.failed > 0) log.info({ jobs: overdue.failed, from: 'queued', to: 'failed', cause: 'queue_timeout' }, 'jobs waited for too long')
        const released = (await releaseDueHolds(db)) + overdue.queued
        if (released > 0) queued(released)
      }
    },
  })
}
