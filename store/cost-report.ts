import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import type { CostReport, NodeCostReport } from '#core/cost-api.ts'
import { HOURS_FROM } from './node-hours.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

/** What is told, by what: days first and last included, `2026-11-25`. */
export interface CostFilter {
  by: string
  since: string
  until: string
  limit: number
}

const SumRow = Type.Object({ attempts: Type.Number(), slot_ms: Type.Number(), cost: Type.Number(), provisional: Type.Number(), charge: Type.Number() })
const ItemRow = row(Type.Composite([SumRow, Type.Object({ key: maybe(Type.String()), name: maybe(Type.String()), groups: Type.Number(), total: SumRow })]))

/**
 * What an account, or one project of it, used: shares in closed hours, and in those that are not closed what they would be now.
 */
export async function readCosts(db: Db, accountId: string, projectId: string | null, filter: CostFilter): Promise<CostReport> {
  const { key, name, join } = grouping(filter.by)
  const order = filter.by === 'day' ? sql.fragment`g.key desc` : sql.fragment`g.cost desc, g.charge desc, g.key`
  const rows = await db.any(sql.type(ItemRow)`
    with entries as (${closedShares(accountId, projectId, filter)} union all ${openShares(accountId, projectId, filter)}),
    grouped as (
      select ${key} as key, sum(e.attempts)::bigint as attempts, sum(e.slot_ms)::bigint as slot_ms, sum(e.cost)::bigint as cost,
        sum(e.provisional)::bigint as provisional, sum(e.charge)::bigint as charge
      from entries e group by 1
    )
    select g.*, ${name} as name
    from (
      select g.*, (count(*) over ())::int as groups, jsonb_build_object('attempts', sum(g.attempts) over (), 'slot_ms', sum(g.slot_ms) over (),
        'cost', sum(g.cost) over (), 'provisional', sum(g.provisional) over (), 'charge', sum(g.charge) over ()) as total
      from grouped g order by ${order} limit ${filter.limit}
    ) g ${join} order by ${order}`)
  const items = rows.map((item) => ({ key: item.key, name: item.name, ...toSums(item) }))
  return {
    ...rangeOf(filter),
    items: filter.by === 'day' ? items.reverse() : items,
    omitted: (rows[0]?.groups ?? 0) - rows.length,
    total: toSums(rows[0]?.total ?? { attempts: 0, slot_ms: 0, cost: 0, provisional: 0, charge: 0 }),
  }
}

const rangeOf = ({ by, since, until }: CostFilter) => ({ by, since, until })

function toSums({ attempts, slot_ms, cost, provisional, charge }: typeof SumRow.static): CostReport['total'] {
  return { attempts, slotSeconds: Math.floor(slot_ms / 1000), costMicrons: cost, provisionalMicrons: provisional, chargeMicrons: charge }
}

function grouping(by: string) {
  if (by === 'day') return { key: sql.fragment`to_char(e.day, 'YYYY-MM-DD')`, name: sql.fragment`null::text`, join: sql.fragment`` }
  if (by.startsWith('label:')) return { key: sql.fragment`e.labels ->> ${by.slice('label:'.length)}`, name: sql.fragment`null::text`, join: sql.fragment`` }
  if (by === 'project') return { key: sql.fragment`e.project_id`, name: sql.fragment`p.slug`, join: sql.fragment`left join projects p on p.id = g.key` }
  if (by === 'batch') return { key: sql.fragment`e.batch_id`, name: sql.fragment`b.name`, join: sql.fragment`left join batches b on b.id = g.key` }
  return { key: sql.fragment`e.job_id`, name: sql.fragment`j.name`, join: sql.fragment`left join jobs j on j.id = g.key` }
}

function closedShares(accountId: string, projectId: string | null, { since, until }: CostFilter) {
  return sql.fragment`
    select day, project_id, batch_id, job_id, labels, attempts, slot_ms, cost_microns as cost, 0::bigint as provisional, charge_microns as charge
    from attempt_costs
    where account_id = ${accountId} and ${projectId === null ? sql.fragment`true` : sql.fragment`project_id = ${projectId}`}
      and day between ${since}::date and ${until}::date`
}

/** Of hours that are not closed, by the price at which their machines were bought. */
function openShares(accountId: string, projectId: string | null, { since, until }: CostFilter) {
  return sql.fragment`
    select o.day, o.project_id, o.batch_id, o.job_id, o.labels, o.attempts, o.slot_ms, o.cost, o.cost as provisional, o.charge
    from (
      select ((h.open_from + floor(extract(epoch from greatest(a.assigned_at, h.open_from) - h.open_from) / 3600) * interval '1 hour') at time zone 'utc')::date as day,
        j.project_id, j.batch_id, j.id as job_id, j.labels, (a.finished_at is not null)::int as attempts, used.slot_ms,
        floor(used.slot_ms::numeric * n.hour_microns / (n.slots * 3600000::numeric))::bigint as cost, a.cost_microns as charge
      from nodes n
        cross join lateral (select ${HOURS_FROM} + make_interval(hours => n.next_hour) as open_from) h
        join attempts a on a.node_id = n.id and a.account_id = ${accountId} and (a.finished_at is null or a.finished_at >= h.open_from)
        join jobs j on j.id = a.job_id
        cross join lateral (
          select floor(a.slots * 1000 * greatest(0, extract(epoch from least(coalesce(a.finished_at, now()), n.billed_until, n.ended_at) - greatest(a.assigned_at, h.open_from))))::bigint as slot_ms
        ) used
      where n.next_hour is not null and ${projectId === null ? sql.fragment`true` : sql.fragment`j.project_id = ${projectId}`}
    ) o
    where o.day between ${since}::date and ${until}::date`
}

const NodeSumRow = Type.Object({ hours: Type.Number(), paid: Type.Number(), idle: Type.Number() })
const NodeItemRow = row(Type.Composite([NodeSumRow, Type.Object({ key: maybe(Type.String()), groups: Type.Number(), total: NodeSumRow })]))
const OpenRow = row(Type.Object({ nodes: Type.Number(), hour_microns: Type.Number() }))

const NODE_KEYS = {
  day: sql.fragment`to_char(h.day, 'YYYY-MM-DD')`,
  node: sql.fragment`h.node_id`,
  type: sql.fragment`h.provider || ' ' || h.server_type || ' ' || h.location`,
} as const

/** What machines cost, and what of it nobody used; for those who run the installation. */
export async function readNodeCosts(db: Db, filter: CostFilter & { by: keyof typeof NODE_KEYS }): Promise<NodeCostReport> {
  const rows = await db.any(sql.type(NodeItemRow)`
    with grouped as (
      select ${NODE_KEYS[filter.by]} as key, count(*) as hours, sum(h.paid_microns)::bigint as paid, sum(h.idle_microns)::bigint as idle
      from node_hours h where h.day between ${filter.since}::date and ${filter.until}::date group by 1
    )
    select g.*, (count(*) over ())::int as groups,
      jsonb_build_object('hours', sum(g.hours) over (), 'paid', sum(g.paid) over (), 'idle', sum(g.idle) over ()) as total
    from grouped g order by ${filter.by === 'day' ? sql.fragment`g.key desc` : sql.fragment`g.paid desc, g.key`} limit ${filter.limit}`)
  const open = await db.one(sql.type(OpenRow)`
    select count(*)::int as nodes, coalesce(sum(n.hour_microns), 0)::bigint as hour_microns from nodes n
    where n.next_hour is not null and n.billed_from is not null and n.ended_at is null and n.billed_until is null`)
  const items = rows.map((item) => ({ key: item.key, ...toNodeSums(item) }))
  return {
    ...rangeOf(filter),
    items: filter.by === 'day' ? items.reverse() : items,
    omitted: (rows[0]?.groups ?? 0) - rows.length,
    total: toNodeSums(rows[0]?.total ?? { hours: 0, paid: 0, idle: 0 }),
    open: { nodes: open.nodes, hourMicrons: open.hour_microns },
  }
}

function toNodeSums({ hours, paid, idle }: typeof NodeSumRow.static): NodeCostReport['total'] {
  return { hours, paidMicrons: paid, costMicrons: paid - idle, idleMicrons: idle }
}
