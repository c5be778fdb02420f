import { type Static, Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import type { AccountLimitsChange, Limits } from '#core/limit-api.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

/** Limits as rows have them. */
const COLUMNS = {
  requestsPerSecond: 'requests_per_second',
  runningJobs: 'running_jobs',
  openJobs: 'open_jobs',
  jobCpuMillis: 'job_cpu_millis',
  jobMemoryBytes: 'job_memory_bytes',
  jobTimeoutSeconds: 'job_timeout_seconds',
  batchItems: 'batch_items',
  storageBytes: 'storage_bytes',
  monthMicrons: 'month_microns',
} as const satisfies Record<keyof Limits, string>

/** What stands in a row for no limit where there would be one by default: the largest number that its column holds, or JSON does. */
const UNLIMITED: Readonly<Record<keyof Limits, number>> = {
  requestsPerSecond: 2 ** 31 - 1,
  runningJobs: 2 ** 31 - 1,
  openJobs: 2 ** 31 - 1,
  jobCpuMillis: 2 ** 31 - 1,
  jobMemoryBytes: Number.MAX_SAFE_INTEGER,
  jobTimeoutSeconds: 2 ** 31 - 1,
  batchItems: 2 ** 31 - 1,
  storageBytes: Number.MAX_SAFE_INTEGER,
  monthMicrons: Number.MAX_SAFE_INTEGER,
}

const NAMES = Object.keys(COLUMNS) as (keyof Limits)[]
const Row = Type.Object({
  ...(Object.fromEntries(NAMES.map((name) => [name, maybe(Type.Number())])) as Record<keyof Limits, ReturnType<typeof maybe<ReturnType<typeof Type.Number>>>>),
  weight: maybe(Type.Number()),
})
const LimitsRow = row(Type.Composite([Type.Object({ id: Type.String() }), Row]))

/** The limits that hold for a project: its own, and its account's (by default those of 'default'). */
export interface EffectiveLimits {
  account: Limits
  project: Limits
  weight: number
}

/** Whose limits: 'default' is every account that does not say otherwise. */
export type LimitOwner = { accountId: string; projectId: string | null } | 'default'

/** What holds for an account and, where there is one, a project of it. */
export async function readLimits(db: Db, accountId: string, projectId: string | null): Promise<EffectiveLimits> {
  const columns = sql.join(
    Object.entries(COLUMNS).map(([name, column]) => sql.fragment`${sql.identifier([column])} as ${sql.identifier([name])}`),
    sql.fragment`, `,
  )
  const rows = await db.any(sql.type(LimitsRow)`
    select id, weight, ${columns} from limits where id in ('default', ${accountId}, ${projectId ?? 'default'})`)
  const of = (id: string | null) => rows.find((found) => found.id === id)
  const merged = (first: Static<typeof Row> | undefined, second?: Static<typeof Row>) =>
    Object.fromEntries(NAMES.map((name) => [name, limitOf(name, first?.[name] ?? second?.[name] ?? null)])) as Limits
  return {
    account: merged(of(accountId), of('default')),
    project: merged(of(projectId)),
    weight: of(accountId)?.weight ?? of('default')?.weight ?? 1,
  }
}

function limitOf(name: keyof Limits, found: number | null): number | null {
  return found === UNLIMITED[name] ? null : found
}

/** Changes limits; what is absent stays. null is no limit, of an account also where there is one by default. */
export async function changeLimits(tx: Db, owner: LimitOwner, change: AccountLimitsChange): Promise<void> {
  const { accountId, projectId } = owner === 'default' ? { accountId: null, projectId: null } : owner
  const id = projectId ?? accountId ?? 'default'
  await tx.query(sql.unsafe`insert into limits (id, account_id, project_id) values (${id}, ${accountId}, ${projectId}) on conflict (id) do nothing`)
  for (const [name, value] of Object.entries(change)) {
    const column = name === 'weight' ? 'weight' : COLUMNS[name as keyof Limits]
    await tx.query(sql.unsafe`update limits set ${sql.identifier([column])} = ${stored(name, value)} where id = ${id}`)
  }

  function stored(name: string, value: number | 'default' | null): number | null {
    if (value === 'default') return null
    // Only an account has something behind it that would hold in its place.
    return value === null && accountId !== null && projectId === null ? UNLIMITED[name as keyof Limits] : value
  }
}
