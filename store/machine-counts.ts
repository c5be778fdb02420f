import { Type } from '@sinclair/typebox'
import { type FragmentSqlToken, sql } from 'slonik'
import { maybe } from '#core/api.ts'
import { type NodeState, PAID_NODE_STATES } from '#core/node.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

const CountedRow = Type.Object({
  name: Type.String(),
  state: Type.Unsafe<NodeState>(Type.String()),
  server_id: maybe(Type.String()),
  hour_microns: Type.Number(),
  ended: Type.Boolean(),
})

/** A machine as the caps count it. */
export interface Counted {
  name: string
  planned: boolean
  /** There is none any more, but the hour that is paid for it is not over. */
  ended: boolean
  serverId: string | null
  hourMicrons: number
}

/** Hours that were begun between two times, at least one: so many are paid where whole hours are. */
export function startedHours(from: FragmentSqlToken, until: FragmentSqlToken): FragmentSqlToken {
  return sql.fragment`greatest(1, ceil(extract(epoch from ${until} - ${from}) / 3600))::int`
}

/**
 * All machines that are paid for, or are to be, of whichever provider; under `lockMachines` where something is decided by it. One
 * that has ended counts until the hour that was paid for it is over, where whole hours are paid.
 */
export async function countedMachines(db: Db): Promise<Counted[]> {
  const paidHours = startedHours(sql.fragment`n.billed_from`, sql.fragment`coalesce(n.billed_until, n.ended_at)`)
  const rows = await db.any(sql.type(row(CountedRow))`
    select name, state, server_id, hour_microns, false as ended from nodes where provider is not null and (state = 'planned' or state = any(${sql.array([...PAID_NODE_STATES], 'text')}))
    union all
    select n.name, n.state, n.server_id, n.hour_microns, true as ended from nodes n
    where n.provider is not null and n.billed_from is not null and n.ended_at > now() - interval '1 hour'
      and n.billed_from + make_interval(hours => ${paidHours}) > now()
      and coalesce((select p.billing from prices p where p.provider = n.provider order by p.valid_from desc limit 1), 'hour') = 'hour'`)
  return rows.map((found) => ({
    name: found.name,
    planned: found.state === 'planned',
    ended: found.ended,
    serverId: found.server_id,
    hourMicrons: found.hour_microns,
  }))
}

const FailedBootsRow = Type.Object({ count: Type.Number(), first_ago: Type.Number(), last_ago: Type.Number(), last: maybe(Type.String()) })

/** Machines that were bought after one came up last, and did not. */
export interface FailedBoots {
  count: number
  /** Since the first of them was bought, and since the last one was given up. */
  firstAgoSeconds: number
  lastAgoSeconds: number
  /** Why the last one was given up. */
  last: string | null
}

/** See the interface. */
export async function failedBoots(db: Db, provider: string): Promise<FailedBoots> {
  const found = await db.one(sql.type(row(FailedBootsRow))`
    select count(*)::int as count, coalesce(extract(epoch from now() - min(billed_from)), 0)::float8 as first_ago,
      coalesce(extract(epoch from now() - max(state_at)), 0)::float8 as last_ago,
      (array_agg(failure order by state_at desc))[1] as last
    from nodes where provider = ${provider} and enrolled_at is null and state in ('deleting', 'failed')
      and billed_from > coalesce((select max(enrolled_at) from nodes where provider = ${provider}), '-infinity')`)
  return { count: found.count, firstAgoSeconds: found.first_ago, lastAgoSeconds: found.last_ago, last: found.last }
}
