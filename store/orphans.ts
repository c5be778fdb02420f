import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import { startedHours } from './machine-counts.ts'
import type { Tx } from './pool.ts'
import type { Seller } from './prices.ts'
import { row } from './row.ts'

/** A machine at a provider that no row knows. */
export interface Orphan {
  id: string
  name: string
  serverType: string
  location: string
  /** When its provider says that it was made; anything is borne. */
  createdAtMs: number
}

const NodeRow = row(Type.Object({ id: Type.String() }))

/**
 * Gives it a row, from which it is deleted and its hours are closed like those of any other: all of them idle. It is paid for from when
 * it was made, but not from before this provider's prices were known, when nothing could be bought. One that had a row which has ended
 * is paid for from where the hours of that one end. Its price is that of its cell, where there is none the dearest of its type, then the
 * dearest of all. Returns the id of its node; undefined when it has a row by now.
 */
export async function adoptOrphan(tx: Tx, seller: Seller, pool: string, orphan: Orphan): Promise<string | undefined> {
  const { provider, billing } = seller
  const { id, name, serverType, location } = orphan
  const said = Number.isFinite(orphan.createdAtMs) ? sql.fragment`to_timestamp(${orphan.createdAtMs / 1000}::float8)` : sql.fragment`now()`
  const dearest = (of: ReturnType<typeof sql.fragment>) =>
    sql.fragment`(select max(hour_microns) from prices where provider = ${provider} and valid_until is null and ${of})`
  const made = await tx.maybeOne(sql.type(NodeRow)`
    insert into nodes (id, name, pool, state, slots, memory_bytes, arch, provider, server_type, location, server_id, hour_microns, failure, billed_from, next_hour)
    select ${newId('node')}, ${name}, ${pool}, 'deleting', coalesce(c.slots, 1), coalesce(c.memory_bytes, 1), coalesce(c.arch, 'amd64'),
      ${provider}, ${serverType}, ${location}, ${id},
      coalesce(c.hour_microns, ${dearest(sql.fragment`server_type = ${serverType}`)}, ${dearest(sql.fragment`true`)}, 0), 'no node knew this machine',
      -- An hour that was begun is paid whole, so the hours of one and the same machine are counted on; seconds go on where they ended.
      case when e.end_at is null then least(now(), greatest(f.first_at, ${said})) when ${billing} = 'hour' then e.start_at else e.end_at end,
      case when e.end_at is null or ${billing} = 'second' then 0 else ${startedHours(sql.fragment`e.start_at`, sql.fragment`e.end_at`)} end
    from (select coalesce(min(valid_from), now()) as first_at from prices where provider = ${provider}) f
      left join cells c on c.provider = ${provider} and c.server_type = ${serverType} and c.location = ${location}
      left join lateral (
        select billed_from as start_at, coalesce(billed_until, ended_at) as end_at from nodes
        where provider = ${provider} and server_id = ${id} and ended_at is not null and billed_from is not null order by ended_at desc limit 1
      ) e on true
    on conflict (provider, server_id) where server_id is not null and ended_at is null do nothing
    returning id`)
  return made?.id
}
