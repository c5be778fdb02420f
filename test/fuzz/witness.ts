import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import type { DatabasePool } from '#store/pool.ts'
import { row } from '#store/row.ts'

const NameRow = row(Type.Object({ name: Type.String() }))
const StateRow = row(Type.Object({ name: Type.String(), rows: Type.Number(), newest: Type.Number(), content: Type.Union([Type.String(), Type.Null()]) }))

/** Sees whether anything was stored. */
export interface Witness {
  /** What the tables hold, as far as a change of any row changes it: by table, for a message. */
  look(): Promise<Map<string, string>>
}

/**
 * Looks at every table of the schema: how many rows it has, and the newest transaction that wrote one (xmin), so that an insert,
 * an update and a delete all show. Of api_keys and users the rows themselves, without when they were last used, as asking is a use.
 */
export async function createWitness(admin: DatabasePool): Promise<Witness> {
  const tables = await admin.anyFirst(
    sql.type(NameRow)`select table_name::text as name from information_schema.tables where table_schema = 'public' and table_type = 'BASE TABLE' order by 1`,
  )
  const looks = tables.map((table) => {
    const name = sql.identifier([table])
    const isTouched = table === 'api_keys' || table === 'users'
    return isTouched
      ? sql.fragment`select ${table} as name, count(*)::int as rows, 0::float8 as newest, md5(string_agg((to_jsonb(t) - 'last_used_at' - 'last_seen_at')::text, ',' order by id)) as content from ${name} t`
      : sql.fragment`select ${table} as name, count(*)::int as rows, coalesce(max(xmin::text::bigint), 0)::float8 as newest, null as content from ${name}`
  })
  return {
    async look() {
      const found = await admin.any(sql.type(StateRow)`${sql.join(looks, sql.fragment` union all `)}`)
      return new Map(found.map(({ name, rows, newest, content }) => [name, `${rows} rows, ${content ?? newest}`]))
    },
  }
}

/** The tables that are not as they were. */
export function changed(before: Map<string, string>, after: Map<string, string>): string[] {
  return [...after].filter(([table, state]) => before.get(table) !== state).map(([table, state]) => `${table} (${before.get(table)} → ${state})`)
}
