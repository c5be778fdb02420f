import type { Heartbeat } from '#bus/messages/node.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { nowMs } from '#core/service/time.ts'
import type { Db } from '#store/pool.ts'
import { recordSeen } from '#store/presence.ts'

/** How often what was heard is written to Postgres: in one statement for all nodes, never one for each beat. */
const WRITE_EVERY_MS = 3000

/** When each node was last heard, kept in memory. */
export interface Presence {
  heard(nodeId: string, beat: Heartbeat): void
  /** Milliseconds since the node was heard by this process; undefined when it never was. */
  silentMs(nodeId: string): number | undefined
  /** Writes to Postgres now and then who was heard. */
  writer: Loop
}

/** See the interface. */
export function createPresence(db: Db, log: Log, isLeader: () => boolean): Presence {
  const lastHeard = new Map<string, number>()
  let unwritten = new Map<string, boolean>()

  return {
    heard(nodeId, beat) {
      lastHeard.set(nodeId, nowMs())
      unwritten.set(nodeId, beat.state === 'draining')
    },
    silentMs(nodeId) {
      const at = lastHeard.get(nodeId)
      return at === undefined ? undefined : nowMs() - at
    },
    writer: createLoop({
      name: 'presence',
      everyMs: WRITE_EVERY_MS,
      log,
      async round() {
        // Every scheduler hears every node; one of them writes it down.
        if (unwritten.size === 0 || !isLeader()) return
        const nodes = [...unwritten].map(([nodeId, draining]) => ({ nodeId, draining }))
        unwritten = new Map()
        await recordSeen(db, nodes)
      },
    }),
  }
}
