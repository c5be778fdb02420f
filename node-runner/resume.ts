import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Log } from '#core/service/log.ts'
import { type AttemptRecord, readRecord } from './record.ts'
import { removeWorkspace, workspaceOf } from './steps/workspace.ts'

/** What an earlier run of this runner left: attempts to go on with, and ended ones whose log is not archived yet. */
export interface Leftovers {
  unfinished: AttemptRecord[]
  unarchived: string[]
}

/** Reads what was left. Folders without a record were never begun, and are removed. */
export async function findLeftovers(dir: string, log: Log): Promise<Leftovers> {
  const found: Leftovers = { unfinished: [], unarchived: [] }
  for (const attemptId of await attemptFolders(dir)) {
    const workspace = workspaceOf(dir, attemptId)
    const record = await readRecord(workspace)
    if (!record) await removeWorkspace(workspace)
    else if (record.acknowledged) found.unarchived.push(attemptId)
    else found.unfinished.push(record)
  }
  if (found.unfinished.length + found.unarchived.length > 0)
    log.info({ unfinished: found.unfinished.length, unarchived: found.unarchived.length }, 'going on with what an earlier run left')
  return found
}

/** The attempts that have a folder on this node. */
export async function attemptFolders(dir: string): Promise<string[]> {
  return readdir(join(dir, 'attempts')).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return []
    throw error
  })
}
