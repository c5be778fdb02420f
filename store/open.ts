import { mayPass } from '#core/service/away.ts'
import type { Log } from '#core/service/log.ts'
import { untilReady } from '#core/service/wait.ts'
import { requireSchema, SchemaVersionError } from './migrate.ts'
import { createDbPool, type DatabasePool } from './pool.ts'

/**
 * Opens the pool of a process and waits until Postgres answers and is at this version. Throws an UnusableError when
 * waiting is no use: a wrong password, no such database, a newer schema.
 */
export async function openDatabase(url: string, maxPoolSize: number, log: Log, signal: AbortSignal): Promise<DatabasePool> {
  const db = await untilReady('Postgres', log, signal, () => createDbPool(url, maxPoolSize))
  // Whoever migrates may be at it just now.
  const waits = (error: unknown) => (error instanceof SchemaVersionError ? !error.newer : mayPass(error))
  await untilReady('Postgres', log, signal, () => requireSchema(db), waits)
  return db
}
