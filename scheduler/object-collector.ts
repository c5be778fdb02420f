import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import type { Objects } from '#store/objects.ts'
import { dueObjects, recordDeleted } from '#store/pending-objects.ts'
import type { Db } from '#store/pool.ts'

const EVERY_MS = 1000
const BATCH = 500
const PARALLEL = 16

/** Deletes objects that nobody wants: uploaded and never reported, or past their retention. */
export function createObjectCollector(db: Db, objects: Objects, log: Log, isLeader: () => boolean): Loop {
  return createLoop({
    name: 'object-collector',
    everyMs: EVERY_MS,
    log,
    async round(signal) {
      while (isLeader() && !signal.aborted) {
        const { deleted, failed } = await collectObjects(db, objects, log)
        if (deleted < BATCH || failed > 0) return
      }
    },
  })
}

/** One round: goes past objects that cannot be deleted now, which stay due. */
export async function collectObjects(db: Db, objects: Pick<Objects, 'delete'>, log: Log): Promise<{ deleted: number; failed: number }> {
  const waiting = await dueObjects(db, BATCH)
  const deleted: string[] = []
  let failed = 0
  const worker = async () => {
    for (let key = waiting.pop(); key !== undefined; key = waiting.pop()) {
      try {
        await objects.delete(key)
        deleted.push(key)
      } catch (error) {
        if (failed++ === 0) log.warn({ error: errorText(error) }, 'an object that nobody wants could not be deleted; trying again')
      }
    }
  }
  await Promise.all(Array.from({ length: PARALLEL }, worker))
  if (deleted.length > 0) await recordDeleted(db, deleted)
  return { deleted: deleted.length, failed }
}
