import { type Static, Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import type { NodeDetail, NodeView } from '#core/operator-api.ts'
import { nowMs } from '#core/service/time.ts'
import { type Page, type PageWish, toPage } from './page.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

/** For so long a node that is gone is shown to those who ask for all. */
const ENDED_HOURS = 24
const HOUR_MS = 3_600_000

const Time = Type.String()
const NodeRow = Type.Object({
  id: Type.String(),
  name: Type.String(),
  pool: Type.String(),
  state: Type.Unsafe<NodeView['state']>(Type.String()),
  state_at: Time,
  created_at: Time,
  enrolled_at: maybe(Time),
  last_seen_at: maybe(Time),
  ended_at: maybe(Time),
  version: maybe(Type.String()),
  slots: Type.Number(),
  used_slots: Type.Number(),
  memory_bytes: Type.Number(),
  used_memory_bytes: Type.Number(),
  arch: Type.Unsafe<NodeView['arch']>(Type.String()),
  provider: maybe(Type.String()),
  server_type: maybe(Type.String()),
  location: maybe(Type.String()),
  server_id: maybe(Type.String()),
  hour_microns: Type.Number(),
  billed_from: maybe(Time),
  drain_requested: Type.Boolean(),
  cordon_reason: maybe(Type.String()),
  verdict: maybe(Type.String()),
  failure: maybe(Type.String()),
  image_count: Type.Number(),
})

const NODE = sql.fragment`
  n.id, n.name, n.pool, n.state, n.state_at, n.created_at, n.enrolled_at, n.last_seen_at, n.ended_at, n.version, n.slots, n.memory_bytes, n.arch,
  n.provider, n.server_type, n.location, n.server_id, n.hour_microns, n.billed_from,
  n.drain_requested_at is not null and not n.drain_planned and n.cordoned_at is null as drain_requested, n.cordon_reason, n.verdict, n.failure, cardinality(n.images) as image_count,
  coalesce(u.slots, 0) as used_slots, coalesce(u.memory_bytes, 0) as used_memory_bytes`
const NODES = sql.fragment`nodes n left join rgrid_node_use() u on u.node_id = n.id`

/** A page of the nodes, the newest first, with what live leases take of them; with `ended` those too that ended within a day. */
export async function listNodes(db: Db, ended: boolean, { after, limit }: PageWish<string>): Promise<Page<NodeView, string>> {
  const present = ended ? sql.fragment`(n.ended_at is null or n.ended_at > now() - make_interval(hours => ${ENDED_HOURS}))` : sql.fragment`n.ended_at is null`
  const older = after === undefined ? sql.fragment`true` : sql.fragment`n.id < ${after}`
  const rows = await db.any(sql.type(row(NodeRow))`select ${NODE} from ${NODES} where ${present} and ${older} order by n.id desc limit ${limit + 1}`)
  return toPage(rows, limit, toView, ({ id }) => id)
}

/** One node that has not ended; undefined when there is none of this id. */
export async function readNode(db: Db, nodeId: string): Promise<NodeView | undefined> {
  const found = await db.maybeOne(sql.type(row(NodeRow))`select ${NODE} from ${NODES} where n.id = ${nodeId} and n.ended_at is null`)
  return found ? toView(found) : undefined
}

const DetailRow = Type.Composite([
  NodeRow,
  Type.Object({ images: Type.Array(Type.String()), attempts: Type.Unsafe<NodeDetail['attempts']>(Type.Array(Type.Object({}))) }),
])

/** One node, also one that has ended, with its images and the attempts that it has. Undefined when there is none of this id. */
export async function readNodeDetail(db: Db, nodeId: string): Promise<NodeDetail | undefined> {
  const found = await db.maybeOne(sql.type(row(DetailRow))`
    select ${NODE}, n.images, coalesce((
      select jsonb_agg(jsonb_build_object('attemptId', a.id, 'jobId', a.job_id, 'state', a.state, 'since', coalesce(a.started_at, a.assigned_at)) order by a.assigned_at)
      from attempts a where a.node_id = n.id and a.finished_at is null), '[]') as attempts
    from ${NODES} where n.id = ${nodeId}`)
  if (!found) return undefined
  const attempts = found.attempts.map((attempt) => ({ ...attempt, since: new Date(attempt.since).toISOString() }))
  return { ...toView(found), images: found.images, attempts }
}

/**
 * The end of the last hour that is begun: from `billedFrom` on each is paid in full as it begins. Of a node that has ended
 * the last one that was.
 */
export function paidUntil(billedFrom: string | null, endedAt: string | null, atMs: number): string | null {
  if (billedFrom === null) return null
  const fromMs = Date.parse(billedFrom)
  const hours = ((endedAt === null ? atMs : Date.parse(endedAt)) - fromMs) / HOUR_MS
  const paid = Math.max(1, endedAt === null ? Math.floor(hours) + 1 : Math.ceil(hours))
  return new Date(fromMs + paid * HOUR_MS).toISOString()
}

function toView(node: Static<typeof NodeRow>): NodeView {
  return {
    id: node.id,
    name: node.name,
    pool: node.pool,
    state: node.state,
    stateAt: node.state_at,
    createdAt: node.created_at,
    enrolledAt: node.enrolled_at,
    lastSeenAt: node.last_seen_at,
    endedAt: node.ended_at,
    version: node.version,
    slots: node.slots,
    usedSlots: node.used_slots,
    memoryBytes: node.memory_bytes,
    usedMemoryBytes: node.used_memory_bytes,
    arch: node.arch,
    provider: node.provider,
    serverType: node.server_type,
    location: node.location,
    serverId: node.server_id,
    hourMicrons: node.provider === null ? null : node.hour_microns,
    billedFrom: node.billed_from,
    paidUntil: paidUntil(node.billed_from, node.ended_at, nowMs()),
    drainRequested: node.drain_requested,
    cordonReason: node.cordon_reason,
    verdict: node.verdict,
    failure: node.failure,
    imageCount: node.image_count,
  }
}
