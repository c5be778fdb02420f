import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { LEADER_KEY } from '../lock.ts'
import type { Db } from '../pool.ts'
import { row } from '../row.ts'

/** What a job takes, or a machine gives. */
export interface Size {
  slots: number
  memoryBytes: number
}

/**
 * How a machine that has enrolled stands to new work: it takes it; it is not heard; an operator drained it; it fails jobs; it is about to go
 * (the planner drains it, or it does so itself); it is lost.
 */
export type Standing = 'working' | 'unheard' | 'drained' | 'cordoned' | 'leaving' | 'lost'

/** Machines that are alike: of one size, with the same room. */
export interface Machines extends Size {
  standing: Standing
  freeSlots: number
  freeMemoryBytes: number
  count: number
}

/** A machine that is on its way. */
export interface Coming extends Size {
  nodeId: string
  state: 'planned' | 'creating' | 'booting'
  serverType: string | null
  location: string | null
  sinceMs: number
  readyAtMs: number
}

/** A cell of the ladder. */
export interface CellFacts extends Size {
  serverType: string
  location: string
  available: boolean
  hourMicrons: number | null
  errorCode: string | null
  errorMessage: string | null
  retryAtMs: number | null
}

/** What all jobs have in common when they wait: the machines there are and come, and whether anybody hands out work. */
export interface MachineFacts {
  /** Whether a scheduler leads. */
  led: boolean
  machines: Machines[]
  /** Those expected first come first. */
  coming: Coming[]
  /** In the order in which they are tried; empty where nothing is bought. */
  cells: CellFacts[]
  /** null: machines are set up by hand. */
  scaling: {
    provider: string
    shortage: string | null
    shortageDetail: string | null
    shortageSinceMs: number | null
    pausedUntilMs: number | null
    /** What another machine may cost in an hour; null: no limit. */
    leftMicrons: number | null
  } | null
}

/** A node that Postgres was not told of for so long is not heard: the leading scheduler tells every 3 s (scheduler/presence.ts). */
export const UNHEARD_SECONDS = 15
/** A decision of the planner that is older means that nobody plans any more: three of its slowest rounds. */
const DECIDED_SECONDS = 900
/** Machines on their way beyond these are not looked at: they are bought a few at a time. */
const MAX_COMING = 100

const json = <T>() => Type.Unsafe<T>(Type.Any())
const FactsRow = row(
  Type.Object({
    led: Type.Boolean(),
    machines: json<Machines[]>(),
    coming: json<Coming[]>(),
    cells: json<CellFacts[]>(),
    scaling: json<MachineFacts['scaling']>(),
  }),
)

const ms = (time: string) => sql.fragment`(extract(epoch from ${sql.identifier(time.split('.'))}) * 1000)::int8`

// The advisory lock of the leading scheduler, as pg_locks shows a key of 64 bits: in two halves, objsubid 1.
const LED = sql.fragment`
  exists (
    select 1 from pg_locks where locktype = 'advisory' and granted and objsubid = 1
      and database = (select oid from pg_database where datname = current_database())
      and classid = ${Math.floor(LEADER_KEY / 2 ** 32)}::int8::oid and objid = ${LEADER_KEY % 2 ** 32}::int8::oid
  )`

/** Reads them in one statement. It shows no tenant's row; what leases take of a node is summed up over all of them. */
export async function readMachineFacts(db: Db): Promise<MachineFacts> {
  return db.one(sql.type(FactsRow)`
    with deciding as (
      select * from scaling where decided_at > now() - make_interval(secs => ${DECIDED_SECONDS})
    ), present as (
      select n.*, coalesce(u.slots, 0) as used_slots, coalesce(u.memory_bytes, 0) as used_memory_bytes, case
          when n.state = 'lost' then 'lost'
          when n.cordoned_at is not null then 'cordoned'
          when n.drain_requested_at is not null and not n.drain_planned then 'drained'
          when n.state = 'draining' or n.drain_planned then 'leaving'
          when coalesce(n.last_seen_at, n.enrolled_at) < now() - make_interval(secs => ${UNHEARD_SECONDS}) then 'unheard'
          else 'working'
        end as standing
      from nodes n left join rgrid_node_use() u on u.node_id = n.id
      where n.ended_at is null and n.state in ('ready', 'draining', 'lost')
    ), alike as (
      select standing, slots, memory_bytes, slots - used_slots as free_slots, memory_bytes - used_memory_bytes as free_memory_bytes, count(*) as count
      from present group by 1, 2, 3, 4, 5
    ), coming as (
      select n.*, coalesce(n.billed_from, n.state_at) + make_interval(secs => coalesce((select boot_seconds from scaling), 60)) as ready_at
      from nodes n where n.ended_at is null and n.state in ('planned', 'creating', 'booting') and n.drain_requested_at is null
      order by ready_at limit ${MAX_COMING}
    )
    select ${LED} as led,
      coalesce((select jsonb_agg(jsonb_build_object('standing', standing, 'slots', slots, 'memoryBytes', memory_bytes,
        'freeSlots', free_slots, 'freeMemoryBytes', free_memory_bytes, 'count', count)) from alike), '[]') as machines,
      coalesce((select jsonb_agg(jsonb_build_object('nodeId', id, 'state', state, 'slots', slots, 'memoryBytes', memory_bytes, 'serverType', server_type,
        'location', location, 'sinceMs', ${ms('created_at')}, 'readyAtMs', ${ms('ready_at')}) order by ready_at, id) from coming), '[]') as coming,
      coalesce((select jsonb_agg(jsonb_build_object('serverType', c.server_type, 'location', c.location, 'slots', c.slots, 'memoryBytes', c.memory_bytes,
        'available', c.available, 'hourMicrons', c.hour_microns, 'errorCode', c.error_code, 'errorMessage', c.error_message, 'retryAtMs', ${ms('c.retry_at')}) order by c.place)
        from cells c join deciding d on d.provider = c.provider), '[]') as cells,
      (select jsonb_build_object('provider', provider, 'shortage', shortage_code, 'shortageDetail', shortage_detail,
        'shortageSinceMs', ${ms('shortage_since')}, 'pausedUntilMs', ${ms('paused_until')}, 'leftMicrons', left_microns) from deciding) as scaling`)
}

/** Reads the facts. */
export type ReadMachines = () => Promise<MachineFacts>

/**
 * The same for many who ask: who asks while one look is under way gets what that one sees. So the facts are those of this
 * moment, and however many follow their jobs one connection is busy with it.
 */
export function createMachineReader(db: Db): ReadMachines {
  let looking: Promise<MachineFacts> | undefined
  return () =>
    (looking ??= readMachineFacts(db).finally(() => {
      looking = undefined
    }))
}
