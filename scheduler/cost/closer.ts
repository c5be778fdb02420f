import { errorText } from '#core/errors.ts'
import { isAway } from '#core/service/away.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { type AttemptShare, attemptUses, closeHour, type DueHour, dueHours, forgetUnpaid } from '#store/node-hours.ts'
import type { DatabasePool } from '#store/pool.ts'
import { paidHour } from './paid-hour.ts'
import { splitHour } from './split-hour.ts'

const EVERY_MS = 15_000
const BATCH = 100

/**
 * Closes hours of machines that are over: each in a transaction of its own, so that it is closed once or not at all, whenever this
 * is killed and whoever else does it too. Returns how many it closed. One that cannot be closed keeps none of another machine
 * from it; it is named by the error that is thrown at the end.
 */
export async function closeHours(db: DatabasePool, signal: AbortSignal): Promise<number> {
  let closed = 0
  for (;;) {
    const due = await dueHours(db, BATCH)
    const failures: Error[] = []
    let moved = 0
    for (const hour of due) {
      if (signal.aborted) return closed
      try {
        if (await close(db, hour)) moved++
      } catch (error) {
        if (isAway(error)) throw error
        failures.push(new Error(`hour ${hour.hour} of ${hour.nodeId} cannot be closed: ${errorText(error)}`, { cause: error }))
      }
    }
    closed += moved
    if (failures.length > 0) throw new AggregateError(failures, `${closed} hours were closed; ${failures.map(errorText).join('; ')}`)
    // What did not move somebody else is closing.
    if (due.length === 0 || moved < due.length) return closed
  }
}

async function close(db: DatabasePool, due: DueHour): Promise<boolean> {
  const hour = paidHour(due, due.hour)
  const uses = await attemptUses(db, due.nodeId, { ...hour, first: due.hour === 0 })
  const untilMs = (use: (typeof uses)[number]) => use.until_ms ?? Number.POSITIVE_INFINITY
  const { shares, idleMicrons } = splitHour(
    hour,
    due.slots,
    uses.map((use) => ({ id: use.id, slots: use.slots, fromMs: use.from_ms, untilMs: untilMs(use) })),
  )
  const counted = uses.flatMap((use, i): AttemptShare[] => {
    const { slotMs = 0, costMicrons = 0 } = shares[i] ?? {}
    const ended = use.until_ms !== null && (hour.last || use.until_ms < hour.untilMs)
    return slotMs > 0 || ended ? [{ ...use, ended, slotMs, costMicrons }] : []
  })
  return closeHour(db, due, { ...hour, idleMicrons, shares: counted })
}

/** Closes what is over, again and again; until then costs are provisional (docs/COSTS.md). */
export function createCostCloser(db: DatabasePool, log: Log, isLeader: () => boolean): Loop {
  return createLoop({
    name: 'cost-closer',
    everyMs: EVERY_MS,
    log,
    async round(signal) {
      if (!isLeader()) return
      await forgetUnpaid(db)
      const hours = await closeHours(db, signal)
      if (hours > 0) log.info({ hours }, 'paid hours closed')
    },
  })
}
