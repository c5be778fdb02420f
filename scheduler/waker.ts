import type { Bus } from '#bus/bus.ts'
import { Wake } from '#bus/messages/node.ts'
import { wakeSubject } from '#bus/subjects.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { countQueued } from '#store/holds.ts'
import type { Db } from '#store/pool.ts'

/** More wake-ups at once than this bring nothing: a node that hears one claims for all its slots. */
const MAX_WAKES = 16

/** The pool that every node is in until there are several. */
export const DEFAULT_POOL = 'default'

/** Wakes nodes: one message for each job, as one of the nodes with a free slot hears each. */
export function wake(bus: Bus, jobs: number): void {
  for (let i = 0; i < Math.min(jobs, MAX_WAKES); i++) bus.publish(wakeSubject(DEFAULT_POOL), Wake, { jobs })
}

/** Heals lost wake-ups: says again and again that there is work, as long as there is. */
export function createWakeSweep(db: Db, bus: Bus, log: Log, isLeader: () => boolean, everyMs: number): Loop {
  return createLoop({
    name: 'wake-sweep',
    everyMs,
    log,
    async round() {
      if (!isLeader()) return
      const queued = await countQueued(db, MAX_WAKES)
      if (queued > 0) wake(bus, queued)
    },
  })
}
