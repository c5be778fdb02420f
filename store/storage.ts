import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { EffectiveLimits } from './limits.ts'
import type { Owner } from './new-jobs.ts'
import { row } from './row.ts'
import type { TenantDb } from './tenant.ts'
import type { Exceeded } from './usage.ts'

const KeptRow = row(Type.Object({ account: Type.Number(), project: Type.Number() }))

/** Which storage of an account and a project of it is full, if any is, in one round trip; without such a limit nothing is asked. */
export async function findFullStorage(db: TenantDb, { accountId, projectId }: Owner, limits: EffectiveLimits): Promise<Exceeded | undefined> {
  if (limits.account.storageBytes === null && limits.project.storageBytes === null) return undefined
  // What is added up hangs on `who`: so the account is set before row level security looks at the first row.
  const kept = await db.alone((one, setAccount) =>
    one.one(sql.prepared('kept_bytes', KeptRow)`
      with who as materialized (select ${setAccount} as account)
      select k.account, k.project from who, lateral (
        select coalesce(sum(bytes), 0)::bigint as account, coalesce(sum(bytes) filter (where project_id = ${projectId}), 0)::bigint as project
        from (
          select project_id, storage_bytes as bytes from usage_totals where account_id = ${accountId} and who.account is not null
          union all select project_id, storage_bytes from usage_entries where account_id = ${accountId} and who.account is not null
        ) u
      ) k`),
  )
  return fullStorage('account', kept.account, limits) ?? fullStorage('project', kept.project, limits)
}

/** The limit of storage that is reached, if it is: at its last byte it is full. */
export function fullStorage(whose: 'account' | 'project', used: number, limits: EffectiveLimits): Exceeded | undefined {
  const max = limits[whose].storageBytes
  return max !== null && used >= max ? { limit: 'storageBytes', whose, max, used } : undefined
}
