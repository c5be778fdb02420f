import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { Usage } from '#core/limit-api.ts'
import type { EffectiveLimits } from './limits.ts'
import type { Owner } from './new-jobs.ts'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'
import { reachedParts, recordSpending, type Spending } from './spending.ts'
import { fullStorage } from './storage.ts'

const UsageShape = Type.Object({
  open_jobs: Type.Number(),
  running_jobs: Type.Number(),
  storage_bytes: Type.Number(),
  spent_microns: Type.Number(),
  reserved_microns: Type.Number(),
  month: Type.String(),
})
const UsageRow = row(UsageShape)
const StandingRow = row(Type.Composite([UsageShape, Type.Object({ told: Type.Number() })]))
const LockRow = row(Type.Object({}))
const CountRow = row(Type.Object({ count: Type.Number() }))

const MONTH = sql.fragment`date_trunc('month', now() at time zone 'utc')::date`

/** What an account, or one project of it, uses now. */
export async function readUsage(db: Db, accountId: string, projectId: string | null): Promise<Usage> {
  const found = await db.one(sql.type(UsageRow)`select *, (${runningJobs(accountId, projectId)})::int as running_jobs from (${sums(accountId, projectId)}) s`)
  return {
    openJobs: found.open_jobs,
    runningJobs: found.running_jobs,
    storageBytes: found.storage_bytes,
    month: found.month,
    spentMicrons: found.spent_microns,
    reservedMicrons: found.reserved_microns,
  }
}

/** The totals and what is not in them yet, of the month and of what has none. One statement: it sees both at one point in time. */
function sums(accountId: string, projectId: string | null) {
  const own = projectId === null ? sql.fragment`account_id = ${accountId}` : sql.fragment`account_id = ${accountId} and project_id = ${projectId}`
  return sql.fragment`
    select coalesce(sum(open_jobs), 0)::bigint as open_jobs, coalesce(sum(storage_bytes), 0)::bigint as storage_bytes,
      coalesce(sum(spent_microns) filter (where month = ${MONTH}), 0)::bigint as spent_microns,
      coalesce(sum(reserved_microns) filter (where month = ${MONTH}), 0)::bigint as reserved_microns, to_char(${MONTH}, 'YYYY-MM') as month
    from (
      select month, open_jobs, storage_bytes, spent_microns, reserved_microns from usage_totals where ${own}
      union all select month, open_jobs, storage_bytes, spent_microns, reserved_microns from usage_entries where ${own}
    ) u`
}

function runningJobs(accountId: string, projectId: string | null) {
  return projectId === null
    ? sql.fragment`select count(*) from attempts where account_id = ${accountId} and finished_at is null`
    : sql.fragment`select count(*) from attempts a join jobs j on j.id = a.job_id where a.account_id = ${accountId} and a.finished_at is null and j.project_id = ${projectId}`
}

/** What a submit would add. */
export interface Demand {
  jobs: number
  microns: number
}

/** A limit that a submit would pass, of the account or of the project. */
export interface Exceeded {
  limit: 'openJobs' | 'monthMicrons' | 'storageBytes'
  whose: 'account' | 'project'
  max: number
  used: number
}

interface Standing extends Spending {
  openJobs: number
  storageBytes: number
}

/** What an account, and a project of it, may still take. */
export interface Admission {
  /** Takes what stays within the limits, one demand after the other; says which limit another one would pass. */
  admit(demand: Demand): Exceeded | undefined
  /** Tells which parts of a monthly limit were reached by that; once, in the transaction that stores what was taken. */
  settle(): Promise<void>
}

/**
 * Looks at what is used, in the transaction that stores what is let in: until that is over no other submit of the account is
 * let in, so that a thousand at once cannot pass what one alone could not. An account without such limits waits for nothing, also
 * one whose storage is limited: a submit adds nothing to it, so it is only looked whether it is full.
 */
export async function openAdmission(tx: Tx, owner: Owner, limits: EffectiveLimits): Promise<Admission> {
  const limited = ownersWith(limits, ['openJobs', 'monthMicrons', 'storageBytes'])
  if (needsAdmission(limits)) await lockUsage(tx, owner.accountId)
  const used: Standing[] = []
  for (const whose of limited) {
    const ownerId = whose === 'account' ? owner.accountId : owner.projectId
    const now = await tx.one(sql.prepared(`standing_of_${whose}`, StandingRow)`
      select *, 0 as running_jobs, coalesce((select max(percent) from spending_marks where owner_id = ${ownerId} and month = ${MONTH}), 0)::int as told
      from (${sums(owner.accountId, whose === 'account' ? null : owner.projectId)}) s`)
    const monthMicrons = now.spent_microns + now.reserved_microns
    used.push({ whose, ownerId, openJobs: now.open_jobs, storageBytes: now.storage_bytes, monthMicrons, told: now.told, refused: false })
  }
  return {
    admit(demand) {
      const adds = { openJobs: demand.jobs, monthMicrons: demand.microns }
      for (const now of used) {
        for (const limit of ['openJobs', 'monthMicrons'] as const) {
          const max = limits[now.whose][limit]
          if (max === null || now[limit] + adds[limit] <= max) continue
          if (limit === 'monthMicrons') now.refused = true
          return { limit, whose: now.whose, max, used: now[limit] }
        }
        const full = fullStorage(now.whose, now.storageBytes, limits)
        if (full) return full
      }
      for (const now of used) {
        now.openJobs += adds.openJobs
        now.monthMicrons += adds.monthMicrons
      }
      return undefined
    },
    async settle() {
      await recordSpending(
        tx,
        owner.accountId,
        used.flatMap((now) => reachedParts(now, limits[now.whose].monthMicrons)),
      )
    },
  }
}

/** Whether what is submitted adds to something that is limited: then it needs an admission. */
export function needsAdmission(limits: EffectiveLimits): boolean {
  return ownersWith(limits, ['openJobs', 'monthMicrons']).length > 0
}

function ownersWith(limits: EffectiveLimits, names: readonly Exceeded['limit'][]): ('account' | 'project')[] {
  return (['account', 'project'] as const).filter((whose) => names.some((name) => limits[whose][name] !== null))
}

/** Until the transaction is over nobody else of the account is let in. */
async function lockUsage(tx: Tx, accountId: string): Promise<void> {
  await tx.query(sql.prepared('lock_usage', LockRow)`select pg_advisory_xact_lock(hashtextextended(${`usage:${accountId}`}, 0))`)
}

const BytesRow = row(Type.Object({ bytes: Type.Number() }))

/**
 * Bytes that an account, or a project of it, keeps or has announced and may still upload (`urlSeconds`), but for this file.
 * Until the transaction is over no other upload of the account is let in.
 */
export async function lockStorage(tx: Tx, accountId: string, projectId: string | null, but: { fileId: string; urlSeconds: number }): Promise<number> {
  await lockUsage(tx, accountId)
  const { storageBytes } = await readUsage(tx, accountId, projectId)
  const announced = await tx.oneFirst(sql.type(BytesRow)`
    select coalesce(sum(size_bytes), 0)::bigint as bytes from files
    where account_id = ${accountId} and (${projectId}::text is null or project_id = ${projectId}) and state = 'pending' and id <> ${but.fileId}
      and announced_at > now() - make_interval(secs => ${but.urlSeconds})`)
  return storageBytes + announced
}

/** Adds up differences, the oldest first; returns how many. */
export async function rollUpUsage(db: Db, limit = 10_000): Promise<number> {
  return db.oneFirst(sql.type(CountRow)`
    with old as (
      delete from usage_entries where id in (select id from usage_entries order by id limit ${limit} for update skip locked)
      returning account_id, project_id, month, open_jobs, storage_bytes, reserved_microns, spent_microns
    ), added as (
      insert into usage_totals as t (project_id, month, account_id, open_jobs, storage_bytes, reserved_microns, spent_microns)
      select project_id, month, account_id, sum(open_jobs), sum(storage_bytes), sum(reserved_microns), sum(spent_microns)
      from old group by project_id, month, account_id
      on conflict (project_id, month) do update set open_jobs = t.open_jobs + excluded.open_jobs, storage_bytes = t.storage_bytes + excluded.storage_bytes,
        reserved_microns = t.reserved_microns + excluded.reserved_microns, spent_microns = t.spent_microns + excluded.spent_microns
    )
    select count(*)::int as count from old`)
}
