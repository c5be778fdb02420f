import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { Db } from './pool.ts'
import { row } from './row.ts'

const LiveRow = row(Type.Object({ id: Type.String(), node_id: Type.String() }))

/** Attempts that ended more than `graceSeconds` ago and whose log is in the archive and still on the bus too. */
export async function readLiveCopies(db: Db, graceSeconds: number, limit: number): Promise<{ attemptId: string; nodeId: string }[]> {
  const rows = await db.any(sql.type(LiveRow)`
    select id, node_id from attempts
    where log_archived and log_purged_at is null and finished_at < now() - make_interval(secs => ${graceSeconds})
    order by finished_at limit ${limit}`)
  return rows.map(({ id, node_id }) => ({ attemptId: id, nodeId: node_id }))
}

/** Notes that the logs of these attempts are in the archive only. */
export async function recordPurged(db: Db, attemptIds: readonly string[]): Promise<void> {
  await db.query(sql.unsafe`update attempts set log_purged_at = now() where id = any(${sql.array([...attemptIds], 'text')})`)
}
