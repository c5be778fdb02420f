import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import type { NodeState } from '#core/node.ts'
import type { Db } from '#store/pool.ts'

const GI = 2 ** 30

/** What a bought machine is seeded with. Times are seconds from now. */
export interface MachineSeed {
  state: NodeState
  slots?: number
  memoryBytes?: number
  serverType?: string
  location?: string
  createdAgo?: number
  billedAgo?: number
  seenAgo?: number
  endedAgo?: number
  drained?: boolean | 'by the planner'
  verdict?: string
  failure?: string
  images?: string[]
}

const ago = (seconds: number | undefined) => (seconds === undefined ? sql.fragment`null` : sql.fragment`now() - make_interval(secs => ${seconds})`)

/** A machine that was bought, as the loops of the scheduler leave its row. */
export async function seedMachine(db: Db, seed: MachineSeed): Promise<string> {
  const id = newId('node')
  const enrolled = !['planned', 'creating', 'booting', 'failed'].includes(seed.state)
  const ended = seed.state === 'gone' || seed.state === 'failed'
  await db.query(sql.unsafe`
    insert into nodes (id, name, pool, state, slots, memory_bytes, public_key, version, enrolled_at, last_seen_at, provider, server_type, location, server_id,
      hour_microns, billed_from, created_at, state_at, ended_at, drain_requested_at, drain_planned, verdict, failure, images)
    values (${id}, ${`rgrid-test-${id.slice(-12)}`}, 'default', ${seed.state}, ${seed.slots ?? 2}, ${seed.memoryBytes ?? 4 * GI},
      ${enrolled ? 'U' : null}, ${enrolled ? '0.1.0' : null}, ${enrolled ? ago(seed.createdAgo ?? 60) : null}, ${enrolled ? ago(seed.seenAgo ?? 0) : null},
      'hetzner', ${seed.serverType ?? 'cx23'}, ${seed.location ?? 'fsn1'}, ${seed.state === 'planned' ? null : id.slice(-8)},
      5600, ${ago(seed.billedAgo)}, ${ago(seed.createdAgo ?? 60)}, ${ago(seed.createdAgo ?? 60)}, ${ended ? ago(seed.endedAgo ?? 0) : null},
      ${seed.drained ? ago(0) : null}, ${seed.drained === 'by the planner'}, ${seed.verdict ?? null}, ${seed.failure ?? null}, ${sql.array(seed.images ?? [], 'text')})`)
  return id
}

/** What a cell of the ladder is seeded with. */
export interface CellSeed {
  serverType?: string
  location?: string
  place?: number
  slots?: number
  memoryBytes?: number
  available?: boolean
  hourMicrons?: number
  error?: { code: string; message: string | null }
  /** In so many seconds. */
  retryIn?: number
}

/** A cell of the ladder. */
export async function seedCell(db: Db, seed: CellSeed = {}): Promise<void> {
  const { code = null, message = null } = seed.error ?? {}
  const retryAt = seed.retryIn === undefined ? sql.fragment`null` : sql.fragment`now() + make_interval(secs => ${seed.retryIn})`
  await db.query(sql.unsafe`
    insert into cells (provider, server_type, location, place, arch, slots, memory_bytes, hour_microns, available, error_code, error_message, error_at, retry_at)
    values ('hetzner', ${seed.serverType ?? 'cx23'}, ${seed.location ?? 'fsn1'}, ${seed.place ?? 1}, 'amd64', ${seed.slots ?? 2}, ${seed.memoryBytes ?? 4 * GI},
      ${seed.hourMicrons ?? 5600}, ${seed.available ?? true}, ${code}, ${message}, ${code === null ? null : sql.fragment`now()`}, ${retryAt})`)
}

/** What a decision of the planner is seeded with. */
export interface ScalingSeed {
  shortage?: string
  detail?: string
  decidedAgo?: number
  missingSlots?: number
  bootSeconds?: number
  /** Nothing is bought for so many seconds. */
  pausedFor?: number
  /** What another machine may cost. */
  leftMicrons?: number
}

/** What the planner decided last. */
export async function seedScaling(db: Db, seed: ScalingSeed = {}): Promise<void> {
  await db.query(sql.unsafe`delete from scaling`)
  await db.query(sql.unsafe`
    insert into scaling (provider, decided_at, missing_slots, shortage_code, shortage_detail, shortage_since, paused_until, boot_seconds, left_microns)
    values ('hetzner', ${ago(seed.decidedAgo ?? 0)}, ${seed.missingSlots ?? 0}, ${seed.shortage ?? null}, ${seed.detail ?? null},
      ${seed.shortage === undefined ? null : sql.fragment`now()`},
      ${ago(seed.pausedFor === undefined ? undefined : -seed.pausedFor)}, ${seed.bootSeconds ?? 60}, ${seed.leftMicrons ?? null})`)
}

/** As if nothing were bought here, and no machine were there. */
export async function forgetMachines(db: Db): Promise<void> {
  await db.query(sql.unsafe`delete from scaling`)
  await db.query(sql.unsafe`delete from cells`)
  await db.query(sql.unsafe`update nodes set state = 'gone', ended_at = now() where ended_at is null`)
}
