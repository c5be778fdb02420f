import { type Static, Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { type NodeState, PAID_NODE_STATES } from '#core/node.ts'
import type { Metrics } from '#core/service/metrics.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

const MachinesRow = Type.Object({ state: Type.Unsafe<NodeState>(Type.String()), machines: Type.Number(), hour_microns: Type.Number() })
const ScalingRow = row(Type.Object({ missing_slots: Type.Number(), short: Type.Boolean(), paused: Type.Boolean() }))
const STATES = ['planned', ...PAID_NODE_STATES] as const

/** Measures the machines that are bought, and whether there are too few. The same whichever process asks. */
export function meterMachines(metrics: Metrics, db: Db): void {
  metrics.gauge(
    'rgrid_machines',
    'Machines that were bought, or are to be, by their state',
    async () => {
      const rows = await countMachines(db)
      return Object.fromEntries(STATES.map((state) => [state, rows.find((found) => found.state === state)?.machines ?? 0]))
    },
    'state',
  )
  metrics.gauge('rgrid_machines_hour_microns', 'What all machines that exist cost an hour, in millionths of the currency', async () =>
    (await countMachines(db)).reduce((sum, { state, hour_microns }) => sum + (state === 'planned' ? 0 : hour_microns), 0),
  )
  metrics.gauge(
    'rgrid_machines_missing_slots',
    'Slots that waiting jobs need beyond what there is and comes',
    async () => (await readScaling(db)).missing_slots,
  )
  metrics.gauge('rgrid_machines_shortage', '1: fewer machines are bought than are wanted', async () => Number((await readScaling(db)).short))
  metrics.gauge('rgrid_machines_paused', '1: the provider says that there is no use in asking it for a machine now', async () =>
    Number((await readScaling(db)).paused),
  )
}

async function countMachines(db: Db): Promise<readonly Static<typeof MachinesRow>[]> {
  return db.any(sql.type(row(MachinesRow))`
    select state, count(*)::int as machines, sum(hour_microns)::int8 as hour_microns
    from nodes where provider is not null and ended_at is null group by state`)
}

async function readScaling(db: Db): Promise<{ missing_slots: number; short: boolean; paused: boolean }> {
  const found = await db.maybeOne(sql.type(ScalingRow)`
    select missing_slots, shortage_code is not null as short, coalesce(paused_until > now(), false) as paused from scaling`)
  return found ?? { missing_slots: 0, short: false, paused: false }
}
