import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import type { CellList, CellView } from '#core/operator-api.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

const Time = Type.String()
const CellRow = row(
  Type.Object({
    provider: Type.String(),
    server_type: Type.String(),
    location: Type.String(),
    place: Type.Number(),
    arch: Type.Unsafe<CellView['arch']>(Type.String()),
    slots: Type.Number(),
    memory_bytes: Type.Number(),
    hour_microns: maybe(Type.Number()),
    available: Type.Boolean(),
    error_code: maybe(Type.String()),
    error_message: maybe(Type.String()),
    error_at: maybe(Time),
    retry_at: maybe(Time),
    checked_at: Time,
  }),
)
const ScalingRow = row(
  Type.Object({
    provider: Type.String(),
    decided_at: Time,
    bought_at: maybe(Time),
    missing_slots: Type.Number(),
    shortage_code: maybe(Type.String()),
    shortage_detail: maybe(Type.String()),
    shortage_since: maybe(Time),
    boot_seconds: Type.Number(),
  }),
)

/** The ladder in the order in which it is tried, and what the planner decided last. */
export async function listCells(db: Db): Promise<CellList> {
  const cells = await db.any(sql.type(CellRow)`
    select provider, server_type, location, place, arch, slots, memory_bytes, hour_microns, available, error_code, error_message, error_at, retry_at, checked_at
    from cells order by provider, place, server_type, location`)
  const scaling = await db.maybeOne(sql.type(ScalingRow)`
    select provider, decided_at, bought_at, missing_slots, shortage_code, shortage_detail, shortage_since, boot_seconds from scaling`)
  return {
    items: cells.map((cell) => ({
      provider: cell.provider,
      serverType: cell.server_type,
      location: cell.location,
      place: cell.place,
      arch: cell.arch,
      slots: cell.slots,
      memoryBytes: cell.memory_bytes,
      hourMicrons: cell.hour_microns,
      available: cell.available,
      error: cell.error_code === null ? null : { code: cell.error_code, message: cell.error_message, at: cell.error_at },
      retryAt: cell.retry_at,
      checkedAt: cell.checked_at,
    })),
    scaling: scaling && {
      provider: scaling.provider,
      decidedAt: scaling.decided_at,
      boughtAt: scaling.bought_at,
      missingSlots: scaling.missing_slots,
      shortage: scaling.shortage_code === null ? null : { code: scaling.shortage_code, detail: scaling.shortage_detail, since: scaling.shortage_since },
      bootSeconds: scaling.boot_seconds,
    },
  }
}
