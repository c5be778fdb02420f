import { type FragmentSqlToken, sql } from 'slonik'
import type { EffectiveLimits } from './limits.ts'
import type { Owner } from './new-jobs.ts'
import type { Exceeded } from './usage.ts'

/** Bytes from which on storage is full; null: never. */
export type StorageLimits = Record<'account' | 'project', number | null>

/** Those of an account and a project; null when neither has one. */
export function storageLimits({ account, project }: EffectiveLimits): StorageLimits | null {
  const limits = { account: account.storageBytes, project: project.storageBytes }
  return limits.account === null && limits.project === null ? null : limits
}

/**
 * Selects the bytes of uploaded files and outputs that are kept, `account` and `project`, from a row `who` whose `account` is set: so
 * row level security knows the account before it looks at the first row.
 */
export function keptBytes({ accountId, projectId }: Owner): FragmentSqlToken {
  return sql.fragment`
    select k.account, k.project from who, lateral (
      select coalesce(sum(bytes), 0)::bigint as account, coalesce(sum(bytes) filter (where project_id = ${projectId}), 0)::bigint as project
      from (
        select project_id, storage_bytes as bytes from usage_totals where account_id = ${accountId} and who.account is not null
        union all select project_id, storage_bytes from usage_entries where account_id = ${accountId} and who.account is not null
      ) u
    ) k`
}

/** Whether such a row is below the limits. */
export function isBelow({ account, project }: StorageLimits): FragmentSqlToken {
  return sql.fragment`(account < ${account}::bigint) is not false and (project < ${project}::bigint) is not false`
}

/** The limit of storage that is reached, if it is: at its last byte it is full. */
export function fullStorage(whose: 'account' | 'project', used: number, limits: EffectiveLimits): Exceeded | undefined {
  const max = limits[whose].storageBytes
  return max !== null && used >= max ? { limit: 'storageBytes', whose, max, used } : undefined
}
