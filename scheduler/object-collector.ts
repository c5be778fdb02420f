import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { withDeadline } from '#core/service/time.ts'
import type { Objects } from '#store/objects.ts'
import { dueObjects, recordDeleted } from '#store/pending-objects.ts'
import type { DatabasePool } from '#store/pool.ts'

const AT_ONCE = 16
const ROUND = 500
/** Below the 30 s after which Postgres ends a transaction that does nothing. */
const DELETE_DEADLINE_MS = 10_000

/** What a round came to. */
export interface Collected {
  deleted: number
  failed: number
  /** Whether there may be more that is due. */
  more: boolean
}

/**
 * Deletes objects that nobody wants: a few at a time, each few in a transaction that keeps them from being promised
 * anew. Goes on past single failures; throws when a whole lot of them fails, as then the object store is away.
 */
export async function collectObjects(db: DatabasePool, objects: Pick<Objects, 'delete'>, signal?: AbortSignal): Promise<Collected> {
  const failed: string[] = []
  let deleted = 0
  for (let done = 0; done < ROUND; ) {
    signal?.throwIfAborted()
    const lot = await db.transaction(async (tx) => {
      const keys = await dueObjects(tx, AT_ONCE, failed)
      const results = await Promise.allSettled(
        keys.map((key) => withDeadline('deleting an object', DELETE_DEADLINE_MS, (deadline) => objects.delete(key, deadline), signal)),
      )
      const gone = keys.filter((_, i) => results[i]?.status === 'fulfilled')
      if (gone.length > 0) await recordDeleted(tx, gone)
      return { keys, gone, error: results.find((result) => result.status === 'rejected')?.reason as unknown }
    })
    deleted += lot.gone.length
    failed.push(...lot.keys.filter((key) => !lot.gone.includes(key)))
    done += lot.keys.length
    if (lot.keys.length > 0 && lot.gone.length === 0)
      throw new Error(`the object store deletes nothing, and ${lot.keys.length} or more objects wait for it: ${errorText(lot.error)}`)
    if (lot.keys.length < AT_ONCE) return { deleted, failed: failed.length, more: false }
  }
  return { deleted, failed: failed.length, more: true }
}

/** Deletes, again and again, what attempts uploaded that ended otherwise, and what is past its retention. */
export function createObjectCollector(db: DatabasePool, objects: Objects, log: Log, isLeader: () => boolean): Loop {
  return createLoop({
    name: 'object-collector',
    everyMs: 1000,
    log,
    async round(signal) {
      let more = true
      while (more && isLeader() && !signal.aborted) {
        const round = await collectObjects(db, objects, signal)
        if (round.deleted + round.failed > 0) log.info({ deleted: round.deleted, failed: round.failed }, 'unwanted objects deleted')
        more = round.more
      }
    },
  })
}
