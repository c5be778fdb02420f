import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { recordEvents } from './events.ts'
import type { Tx } from './pool.ts'
import { row } from './row.ts'

/** Parts of a monthly limit that are told of when they are reached, in percent. */
export const SPENDING_PERCENTS = [50, 80, 100] as const

/** How an account, or a project, stands to what its month may cost. */
export interface Spending {
  whose: 'account' | 'project'
  ownerId: string
  /** Spent or reserved, in microns. */
  monthMicrons: number
  /** The highest part that was told of this month; 0: none. */
  told: number
  /** Whether the limit refused a submit. */
  refused: boolean
}

/** A part of a monthly limit that was reached. */
export interface ReachedPart {
  whose: 'account' | 'project'
  ownerId: string
  percent: number
  limitMicrons: number
  usedMicrons: number
}

/**
 * The parts that are reached and were not told of. As each job reserves its worst case a month is hardly ever used up to the
 * micron: it is full when it refuses a submit, unless that alone is larger than what is left at the mark before.
 */
export function reachedParts({ whose, ownerId, monthMicrons, told, refused }: Spending, limitMicrons: number | null): ReachedPart[] {
  if (limitMicrons === null || monthMicrons === 0) return []
  const reaches = (percent: number) => monthMicrons * 100 >= percent * limitMicrons
  return SPENDING_PERCENTS.filter((percent) => percent > told && (reaches(percent) || (percent === 100 && refused && reaches(80)))).map((percent) => ({
    whose,
    ownerId,
    percent,
    limitMicrons,
    usedMicrons: monthMicrons,
  }))
}

const MarkRow = row(Type.Object({ owner_id: Type.String(), percent: Type.Number(), month: Type.String() }))
const IdRow = row(Type.Object({ id: Type.String() }))

/** Tells of parts that were reached, each once a month, whoever else does so too: that of an account in each of its projects. */
export async function recordSpending(tx: Tx, accountId: string, reached: readonly ReachedPart[]): Promise<void> {
  if (reached.length === 0) return
  const marks = await tx.any(sql.type(MarkRow)`
    insert into spending_marks (owner_id, month, percent, account_id)
    select r."ownerId", date_trunc('month', now() at time zone 'utc')::date, r.percent, ${accountId}
    from jsonb_to_recordset(${JSON.stringify(reached)}::jsonb) as r("ownerId" text, percent smallint)
    on conflict do nothing returning owner_id, percent, to_char(month, 'YYYY-MM') as month`)
  if (marks.length === 0) return
  const projects = await tx.anyFirst(sql.type(IdRow)`select id from projects where account_id = ${accountId} and deleted_at is null order by id`)
  await recordEvents(
    tx,
    reached.flatMap(({ ownerId, ...data }) => {
      const mark = marks.find((one) => one.owner_id === ownerId && one.percent === data.percent)
      if (!mark) return []
      const heard = data.whose === 'account' ? projects : [ownerId]
      return heard.map((projectId) => ({ accountId, projectId, batchId: null, jobId: null, type: 'spending.threshold', data: { ...data, month: mark.month } }))
    }),
  )
}
