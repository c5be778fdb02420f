import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import type { MachineKind } from './machines.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

/** What can be bought, as it is written down for people. */
export interface CellRow extends Omit<MachineKind, 'hourMicrons'> {
  hourMicrons: number | null
  available: boolean
  error: { code: string; message: string; retryAtMs: number | null } | null
}

/** Writes down what the provider offers, in its order; what it offers no more goes. An error that was met here stays. */
export async function recordOffers(db: Db, provider: string, cells: readonly CellRow[]): Promise<void> {
  await db.query(sql.unsafe`
    with offer as (
      select o.* from jsonb_to_recordset(${JSON.stringify(cells.map((cell, place) => ({ ...cell, ...cell.error, place })))}::jsonb)
        as o("serverType" text, location text, place int, arch text, slots int, "memoryBytes" bigint, "hourMicrons" bigint, available boolean,
          code text, message text, "retryAtMs" float8)
    ), withdrawn as (
      delete from cells c where c.provider = ${provider} and not exists (select 1 from offer o where o."serverType" = c.server_type and o.location = c.location)
    )
    insert into cells (provider, server_type, location, place, arch, slots, memory_bytes, hour_microns, available, error_code, error_message, error_at, retry_at)
    select ${provider}, "serverType", location, place, arch, slots, "memoryBytes", "hourMicrons", available, code, message,
      case when code is not null then now() end, to_timestamp("retryAtMs" / 1000)
    from offer
    on conflict (provider, server_type, location) do update set place = excluded.place, arch = excluded.arch, slots = excluded.slots,
      memory_bytes = excluded.memory_bytes, hour_microns = excluded.hour_microns, checked_at = now(),
      available = excluded.available and coalesce(cells.retry_at <= now(), true),
      error_code = coalesce(excluded.error_code, cells.error_code), error_message = coalesce(excluded.error_message, cells.error_message),
      error_at = coalesce(excluded.error_at, cells.error_at), retry_at = coalesce(excluded.retry_at, cells.retry_at)`)
}

const FaultRow = row(
  Type.Object({ server_type: Type.String(), location: Type.String(), code: Type.String(), message: Type.String(), retry_at_ms: Type.Number() }),
)

/** A cell that had nothing when it was asked, and when it may be asked again. */
export interface CellFault {
  serverType: string
  location: string
  error: { code: string; message: string; retryAtMs: number }
}

/** The cells that are not to be tried yet. */
export async function cellFaults(db: Db, provider: string): Promise<CellFault[]> {
  const rows = await db.any(sql.type(FaultRow)`
    select server_type, location, coalesce(error_code, '') as code, coalesce(error_message, '') as message,
      (extract(epoch from retry_at) * 1000)::float8 as retry_at_ms
    from cells where provider = ${provider} and retry_at > now()`)
  return rows.map((cell) => ({
    serverType: cell.server_type,
    location: cell.location,
    error: { code: cell.code, message: cell.message, retryAtMs: cell.retry_at_ms },
  }))
}

/** Notes that a cell had nothing, and that it is not to be tried for a while. */
export async function recordCellFault(
  db: Db,
  provider: string,
  cell: { serverType: string; location: string },
  error: { code: string; message: string },
  retrySeconds: number,
): Promise<void> {
  await db.query(sql.unsafe`
    update cells set available = false, error_code = ${error.code}, error_message = ${error.message}, error_at = now(),
      retry_at = now() + make_interval(secs => ${retrySeconds})
    where provider = ${provider} and server_type = ${cell.serverType} and location = ${cell.location}`)
}

/** A cell gave a machine: what was wrong with it before is over. */
export async function clearCellFault(db: Db, provider: string, cell: { serverType: string; location: string }): Promise<void> {
  await db.query(sql.unsafe`
    update cells set available = true, error_code = null, error_message = null, error_at = null, retry_at = null
    where provider = ${provider} and server_type = ${cell.serverType} and location = ${cell.location} and error_code is not null`)
}

const ScalingRow = row(
  Type.Object({ bought_at_ms: maybe(Type.Number()), paused_ms: Type.Number(), shortage_code: maybe(Type.String()), shortage_detail: maybe(Type.String()) }),
)

/** What is remembered of the last decisions. */
export interface Scaling {
  boughtAtMs: number | null
  /** For how long nothing is to be bought yet; 0: it may be. */
  pausedMs: number
  shortage: { code: string; detail: string } | null
}

/** See the interface; undefined before the first decision. */
export async function readScaling(db: Db, provider: string): Promise<Scaling | undefined> {
  const found = await db.maybeOne(sql.type(ScalingRow)`
    select (extract(epoch from bought_at) * 1000)::float8 as bought_at_ms, shortage_code, shortage_detail,
      greatest(0, coalesce(extract(epoch from paused_until - now()) * 1000, 0))::float8 as paused_ms
    from scaling where provider = ${provider}`)
  if (!found) return undefined
  const shortage = found.shortage_code === null ? null : { code: found.shortage_code, detail: found.shortage_detail ?? '' }
  return { boughtAtMs: found.bought_at_ms, pausedMs: found.paused_ms, shortage }
}

/** Writes down what was decided; while buying is paused, what the provider said stays. */
export async function recordDecision(
  db: Db,
  provider: string,
  decision: { missingSlots: number; shortage: { code: string; detail: string } | null; bootSeconds: number; bought: boolean; leftMicrons: number | null },
): Promise<void> {
  const { missingSlots, shortage, bootSeconds, bought, leftMicrons } = decision
  const [code, detail] = [shortage?.code ?? null, shortage?.detail ?? null]
  const kept = sql.fragment`s.provider = excluded.provider and s.paused_until > now()`
  await db.query(sql.unsafe`
    insert into scaling as s (provider, missing_slots, shortage_code, shortage_detail, shortage_since, boot_seconds, left_microns, bought_at)
    values (${provider}, ${missingSlots}, ${code}, ${detail}, case when ${code}::text is not null then now() end, ${bootSeconds}, ${leftMicrons},
      case when ${bought} then now() end)
    on conflict (one) do update set provider = excluded.provider, decided_at = now(), missing_slots = excluded.missing_slots,
      boot_seconds = excluded.boot_seconds, left_microns = excluded.left_microns, bought_at = coalesce(excluded.bought_at, s.bought_at),
      shortage_code = case when ${kept} then s.shortage_code else excluded.shortage_code end,
      shortage_detail = case when ${kept} then s.shortage_detail else excluded.shortage_detail end,
      shortage_since = case when ${kept} or s.shortage_code = excluded.shortage_code then s.shortage_since else excluded.shortage_since end,
      paused_until = case when ${kept} then s.paused_until end`)
}

/** The provider says that there is no use in asking: nothing is bought for so long, and people are told why at once. */
export async function pauseBuying(db: Db, provider: string, shortage: { code: string; detail: string }, seconds: number): Promise<void> {
  await db.query(sql.unsafe`
    insert into scaling as s (provider, shortage_code, shortage_detail, shortage_since, paused_until)
    values (${provider}, ${shortage.code}, ${shortage.detail}, now(), now() + make_interval(secs => ${seconds}))
    on conflict (one) do update set provider = excluded.provider, shortage_code = excluded.shortage_code, shortage_detail = excluded.shortage_detail,
      shortage_since = case when s.shortage_code = excluded.shortage_code then s.shortage_since else now() end, paused_until = excluded.paused_until`)
}
