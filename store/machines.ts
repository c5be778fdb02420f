import { type Static, Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import { newId } from '#core/ids.ts'
import type { Architecture, NodeState } from '#core/node.ts'
import { monotonicMs } from '#core/service/time.ts'
import type { Db, Tx } from './pool.ts'
import { row } from './row.ts'
import { hashSecret, newEnrolmentToken } from './secrets.ts'
import { MAY_LEAVE_LOGS, UNARCHIVED } from './unarchived-logs.ts'

const MachineRow = Type.Object({
  id: Type.String(),
  name: Type.String(),
  pool: Type.String(),
  state: Type.Unsafe<NodeState>(Type.String()),
  server_type: Type.String(),
  location: Type.String(),
  arch: Type.Unsafe<Architecture>(Type.String()),
  server_id: maybe(Type.String()),
  slots: Type.Number(),
  memory_bytes: Type.Number(),
  hour_microns: Type.Number(),
  state_age_ms: Type.Number(),
  removal_age_ms: maybe(Type.Number()),
  boot_seconds: maybe(Type.Number()),
})

/** What a machine is, or is to be: a cell with what it gives and costs. */
export interface MachineKind {
  serverType: string
  location: string
  arch: Architecture
  slots: number
  memoryBytes: number
  hourMicrons: number
}

/** The row of a machine that was bought, or is to be. */
export interface Machine extends MachineKind {
  nodeId: string
  name: string
  pool: string
  state: NodeState
  /** The provider's own id; null until the order was answered. */
  serverId: string | null
  /** How long it has been in this state, by the clock of Postgres; rather too short than too long. */
  stateAgeMs(): number
  /** How long ago the provider took the order to delete it, in the same way; null: it has not, or nothing came of it. */
  removalAgeMs(): number | null
  /** From its first paid moment to its enrolment; null: it has not enrolled. */
  bootSeconds: number | null
}

/** An arbitrary number that all schedulers of a database share. */
const MACHINES_KEY = 7_246_301_128

/** Lets nobody else count machines, or begin to buy one, until the transaction ends. */
export async function lockMachines(tx: Tx): Promise<void> {
  await tx.query(sql.unsafe`select pg_advisory_xact_lock(${MACHINES_KEY})`)
}

/** The machines of a provider that have not ended, the oldest first. */
export async function listMachines(db: Db, provider: string): Promise<Machine[]> {
  const rows = await db.any(sql.type(row(MachineRow))`
    select id, name, pool, state, server_type, location, arch, server_id, slots, memory_bytes, hour_microns,
      (extract(epoch from clock_timestamp() - state_at) * 1000)::float8 as state_age_ms,
      (extract(epoch from clock_timestamp() - billed_until) * 1000)::float8 as removal_age_ms,
      extract(epoch from enrolled_at - coalesce(billed_from, created_at))::float8 as boot_seconds
    from nodes where provider = ${provider} and ended_at is null order by id`)
  return rows.map(toMachine)
}

function toMachine(found: Static<typeof MachineRow>): Machine {
  const readAtMs = monotonicMs()
  const removalAgeMs = found.removal_age_ms
  return {
    nodeId: found.id,
    name: found.name,
    pool: found.pool,
    state: found.state,
    serverType: found.server_type,
    location: found.location,
    arch: found.arch,
    serverId: found.server_id,
    slots: found.slots,
    memoryBytes: found.memory_bytes,
    hourMicrons: found.hour_microns,
    stateAgeMs: () => found.state_age_ms + monotonicMs() - readAtMs,
    removalAgeMs: () => (removalAgeMs === null ? null : removalAgeMs + monotonicMs() - readAtMs),
    bootSeconds: found.boot_seconds,
  }
}

/** Ends all machines that were not ordered yet; returns how many. */
export async function failPlanned(db: Db, provider: string, failure: string): Promise<number> {
  const result = await db.query(sql.unsafe`
    update nodes set state = 'failed', failure = ${failure} where provider = ${provider} and state = 'planned' and server_id is null`)
  return result.rowCount
}

/** Writes down a machine that is to be bought; the provider knows nothing of it yet. `nameOf` names its server. */
export async function insertPlanned(tx: Tx, provider: string, pool: string, kind: MachineKind, nameOf: (nodeId: string) => string): Promise<string> {
  const nodeId = newId('node')
  await tx.query(sql.unsafe`
    insert into nodes (id, name, pool, state, slots, memory_bytes, provider, server_type, location, arch, hour_microns)
    values (${nodeId}, ${nameOf(nodeId)}, ${pool}, 'planned', ${kind.slots}, ${kind.memoryBytes}, ${provider}, ${kind.serverType}, ${kind.location},
      ${kind.arch}, ${kind.hourMicrons})`)
  return nodeId
}

/**
 * Begins an order, or begins it anew: from here on the machine may exist. Returns a fresh token for it, which is stored as a
 * hash only; undefined when the row is in another state by now.
 */
export async function beginOrder(tx: Tx, nodeId: string, kind: MachineKind, tokenSeconds: number): Promise<{ id: string; token: string } | undefined> {
  const begun = await tx.query(sql.unsafe`
    update nodes set state = 'creating', server_type = ${kind.serverType}, location = ${kind.location}, arch = ${kind.arch}, slots = ${kind.slots},
      memory_bytes = ${kind.memoryBytes}, hour_microns = ${kind.hourMicrons}
    where id = ${nodeId} and state in ('planned', 'creating') and server_id is null`)
  if (begun.rowCount === 0) return undefined
  const [id, token] = [newId('enrolmentToken'), newEnrolmentToken()]
  await tx.query(sql.unsafe`
    insert into enrolment_tokens (id, hash, expires_at, for_node_id)
    values (${id}, ${sql.binary(hashSecret(token))}, now() + make_interval(secs => ${tokenSeconds}), ${nodeId})`)
  return { id, token }
}

/**
 * Writes down that the machine exists. It is paid for from `createdAtMs` on, unless the provider's clock says what cannot be:
 * before its row, which is older than its order, or in the future. `tokenId`: the token that it was surely made with, so that all others are void; null
 * when an earlier order was met, which may have been made with any of them. False when that is known, or the node is over.
 */
export async function recordServer(
  tx: Tx,
  nodeId: string,
  server: { id: string; serverType: string; location: string; createdAtMs: number; hourMicrons: number },
  tokenId: string | null,
): Promise<boolean> {
  const said = Number.isFinite(server.createdAtMs) ? sql.fragment`to_timestamp(${server.createdAtMs / 1000}::float8)` : sql.fragment`now()`
  const billedFrom = sql.fragment`least(now(), greatest(created_at, ${said}))`
  const result = await tx.query(sql.unsafe`
    update nodes set server_id = ${server.id}, billed_from = ${billedFrom}, server_type = ${server.serverType},
      location = ${server.location}, hour_microns = ${server.hourMicrons}, state = case when state = 'creating' then 'booting' else state end
    where id = ${nodeId} and server_id is null and ended_at is null and state <> 'planned'`)
  if (result.rowCount === 0) return false
  if (tokenId !== null) await tx.query(sql.unsafe`delete from enrolment_tokens where for_node_id = ${nodeId} and id <> ${tokenId} and used_at is null`)
  return true
}

/** The order was not taken: back, for another cell or another time. Tokens stay: an earlier order may yet turn out to have been taken. */
export async function returnToPlanned(tx: Tx, nodeId: string): Promise<boolean> {
  const result = await tx.query(sql.unsafe`update nodes set state = 'planned' where id = ${nodeId} and state = 'creating' and server_id is null`)
  return result.rowCount > 0
}

/** Ends a machine that was never made. */
export async function failUnmade(tx: Tx, nodeId: string, failure: string): Promise<boolean> {
  const result = await tx.query(sql.unsafe`
    update nodes set state = 'failed', failure = ${failure} where id = ${nodeId} and state in ('planned', 'creating') and server_id is null`)
  if (result.rowCount > 0) await dropTokens(tx, nodeId)
  return result.rowCount > 0
}

/**
 * Ends the work of a machine that has none: it is to be deleted. False when it has a live attempt, or is not in one of the
 * states `from`, or is heard and has logs that are yet to be archived. The lock and the look are two statements on purpose: a claim holds the node's row, and the second statement
 * sees what it gave (docs/MACHINES.md).
 */
export async function startDeleting(tx: Tx, nodeId: string, from: readonly NodeState[], reason: { verdict: string } | { failure: string }): Promise<boolean> {
  await tx.query(sql.unsafe`select 1 from nodes where id = ${nodeId} for no key update`)
  const said = 'verdict' in reason ? sql.fragment`verdict = ${reason.verdict}` : sql.fragment`failure = ${reason.failure}`
  const result = await tx.query(sql.unsafe`
    update nodes n set state = 'deleting', ${said}
    where n.id = ${nodeId} and n.provider is not null and n.state = any(${sql.array([...from], 'text')})
      and not exists (select 1 from attempts where node_id = ${nodeId} and finished_at is null) and ${MAY_LEAVE_LOGS}`)
  if (result.rowCount > 0) await dropTokens(tx, nodeId)
  return result.rowCount > 0
}

/** The provider took the order to delete a machine: from now on it costs nothing, if the order comes about. Of several orders the last one counts. */
export async function recordRemoval(tx: Tx, nodeId: string): Promise<void> {
  await tx.query(sql.unsafe`update nodes set billed_until = now() where id = ${nodeId} and state = 'deleting'`)
}

/** The machine is still there: nothing came of the order to delete it, and it costs on. */
export async function withdrawRemoval(tx: Tx, nodeId: string): Promise<void> {
  await tx.query(sql.unsafe`update nodes set billed_until = null where id = ${nodeId} and state = 'deleting'`)
}

const EndedRow = Type.Object({ state: Type.Union([Type.Literal('gone'), Type.Literal('failed')]), unarchived: Type.Number() })

/**
 * The provider has it no more. It `failed` when it never took work. Returns the state it ended in, and how many logs went with it that
 * were not archived; undefined: it had ended.
 */
export async function endMachine(tx: Tx, nodeId: string): Promise<Static<typeof EndedRow> | undefined> {
  const ended = await tx.maybeOne(sql.type(row(EndedRow))`
    update nodes n set state = case when enrolled_at is null then 'failed' else 'gone' end where n.id = ${nodeId} and n.state = 'deleting'
    returning n.state, (select count(*)::int from attempts a where a.node_id = n.id and ${UNARCHIVED}) as unarchived`)
  return ended ?? undefined
}

async function dropTokens(tx: Tx, nodeId: string): Promise<void> {
  await tx.query(sql.unsafe`delete from enrolment_tokens where for_node_id = ${nodeId} and used_at is null`)
}

/** The planner lets a node take no more work; false when it takes none already. */
export async function planDrain(db: Db, nodeId: string): Promise<boolean> {
  const result = await db.query(sql.unsafe`
    update nodes set state = 'draining', drain_requested_at = now(), drain_planned = true
    where id = ${nodeId} and provider is not null and state = 'ready' and drain_requested_at is null`)
  return result.rowCount > 0
}

/** The planner lets a node that it drained itself take work again; false when somebody else drained it, or it is over. */
export async function planResume(db: Db, nodeId: string): Promise<boolean> {
  const result = await db.query(sql.unsafe`
    update nodes set state = 'ready', drain_requested_at = null, drain_planned = false
    where id = ${nodeId} and provider is not null and state = 'draining' and (drain_planned or drain_requested_at is null)`)
  return result.rowCount > 0
}

/** Writes down what the planner says of each node. */
export async function recordVerdicts(db: Db, verdicts: readonly { nodeId: string; reason: string }[]): Promise<void> {
  if (verdicts.length === 0) return
  await db.query(sql.unsafe`
    update nodes n set verdict = v.reason from jsonb_to_recordset(${JSON.stringify(verdicts)}::jsonb) as v("nodeId" text, reason text)
    where n.id = v."nodeId" and n.provider is not null and n.ended_at is null and n.verdict is distinct from v.reason`)
}
