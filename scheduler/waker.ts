import type { Bus } from '#bus/bus.ts'
import { MAX_WAKES, wakeNodes } from '#bus/wake.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { countQueued } from '#store/holds.ts'
import type { Db } from '#store/pool.ts'

/** Heals lost wake-ups: says again and again that there is work, as long as there is. */
export function createWakeSweep(db: Db, bus: Bus, log: Log, isLeader: () => boolean, everyMs: number): Loop {
  return createLoop({
    name: 'wake-sweep',
    everyMs,
    log,
    async round() {
      if (!isLeader()) return
      const queued = await countQueued(db, MAX_WAKES)
      if (queued > 0) wakeNodes(bus, queued)
    },
  })
}
