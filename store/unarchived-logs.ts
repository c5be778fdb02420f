import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { Db } from './pool.ts'
import { row } from './row.ts'

/**
 * Of an attempt `a`: only its node has its log. `log_seq` says that there is one, and it could not be archived before the end was
 * told. Of an attempt that was lost none is taken any more.
 */
export const UNARCHIVED = sql.fragment`a.finished_at is not null and a.state <> 'lost' and not a.log_archived and a.log_seq > 0`

/**
 * A node that is due waits for its logs for so long. Less than an hour: where hours are paid whole it goes at the end of the next
 * one, and not of the one after that.
 */
const WAIT = sql.fragment`make_interval(mins => 50)`

/** Of a node `n`: it never takes a log with it that could yet be archived. One that is lost, or never came, is not waited for. */
export const MAY_LEAVE_LOGS = sql.fragment`(n.state not in ('ready', 'draining') or n.logs_due_at <= now() - ${WAIT}
  or not exists (select 1 from attempts a where a.node_id = n.id and ${UNARCHIVED}))`

const WaitRow = row(Type.Object({ id: Type.String(), logs: Type.Number(), began: Type.Boolean(), until_ms: Type.Number(), over: Type.Boolean() }))

/** What a node that is due waits for. */
export interface LogWait {
  logs: number
  /** Whether the wait began now. */
  began: boolean
  /** The end of the wait, milliseconds since 1970 by the clock of Postgres, and whether that has come. */
  untilMs: number
  over: boolean
}

/** Those of the nodes that are due and have logs which are not archived; from the first time on their wait runs. */
export async function awaitLogs(db: Db, nodeIds: readonly string[]): Promise<Map<string, LogWait>> {
  const rows = await db.any(sql.type(WaitRow)`
    with due as (
      select n.id, n.logs_due_at is null as began, (select count(*)::int from attempts a where a.node_id = n.id and ${UNARCHIVED}) as logs
      from nodes n where n.id = any(${sql.array([...nodeIds], 'text')}) and n.state in ('ready', 'draining')
    )
    update nodes n set logs_due_at = coalesce(n.logs_due_at, now()) from due d where n.id = d.id and d.logs > 0
    returning n.id, d.logs, d.began, (extract(epoch from n.logs_due_at + ${WAIT}) * 1000)::float8 as until_ms, n.logs_due_at <= now() - ${WAIT} as over`)
  return new Map(rows.map(({ id, logs, began, until_ms, over }) => [id, { logs, began, untilMs: until_ms, over }]))
}

/** Ends the wait of nodes whose logs are archived by now: should more logs have to wait one day, it begins anew. */
export async function endLogWaits(db: Db): Promise<void> {
  await db.query(sql.unsafe`
    update nodes n set logs_due_at = null
    where n.logs_due_at is not null and n.ended_at is null and not exists (select 1 from attempts a where a.node_id = n.id and ${UNARCHIVED})`)
}
