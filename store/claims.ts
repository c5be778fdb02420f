import pg from 'pg'
import type { ResolvedSpec } from '#core/job/resolve.ts'
import { parseInt8 } from './pool.ts'

/** What a node may still take, by its live leases. */
export interface NodeCapacity {
  nodeId: string
  freeSlots: number
  freeMemoryBytes: number
}

/** A queued job that is locked by the claim's transaction. */
export interface Candidate {
  jobId: string
  slots: number
  memoryBytes: number
}

/** A job that goes to a node. */
export interface Pick {
  jobId: string
  attemptId: string
  nodeId: string
  leaseToken: string
}

/** A claimed job with what its node needs to know. */
export interface ClaimedJob extends Pick {
  attemptNumber: number
  project: string
  batchId: string | null
  batchIndex: number | null
  batchSize: number | null
  spec: ResolvedSpec
}

const CAPACITY = `
  select n.id as "nodeId",
    n.slots - coalesce(used.slots, 0)::int as "freeSlots",
    n.memory_bytes - coalesce(used.memory_bytes, 0)::bigint as "freeMemoryBytes"
  from nodes n
  left join lateral (
    select sum(slots) as slots, sum(memory_bytes) as memory_bytes from attempts where node_id = n.id and finished_at is null
  ) used on true
  where n.id = any($1) and n.state = 'ready' and n.drain_requested_at is null
  order by n.id
  for no key update of n`

const CANDIDATES = `
  select id as "jobId", slots, memory_bytes as "memoryBytes"
  from jobs
  where state = 'queued' and slots <= $1 and memory_bytes <= $2
  order by priority desc, seq
  limit $3
  for no key update skip locked`

const TAKE = `
  with pick as (
    select * from unnest($1::text[], $2::text[], $3::text[], $4::text[]) as p (job_id, attempt_id, node_id, lease_token)
  ), taken as (
    update jobs j
    set state = 'running', queue_until = null, attempt_id = p.attempt_id, attempt_count = attempt_count + 1,
      started_at = coalesce(j.started_at, now()), reason = 'assigned to ' || p.node_id
    from pick p where j.id = p.job_id
    returning j.*, p.node_id as pick_node_id, p.lease_token
  ), attempt as (
    insert into attempts (id, job_id, number, node_id, lease_token, slots, memory_bytes, state, assigned_at)
    select attempt_id, id, attempt_count, pick_node_id, lease_token, slots, memory_bytes, 'assigned', clock_timestamp() from taken
  ), event as (
    insert into events (account_id, project_id, batch_id, job_id, type, data)
    select account_id, project_id, batch_id, id, 'job.assigned',
      jsonb_build_object('state', 'running', 'attempt', attempt_count, 'attemptId', attempt_id, 'nodeId', pick_node_id)
    from taken
    returning id
  ), outbox_row as (
    insert into outbox (event_id) select id from event
  )
  select t.id as "jobId", t.attempt_id as "attemptId", t.pick_node_id as "nodeId", t.lease_token as "leaseToken",
    t.attempt_count as "attemptNumber", p.slug as project, t.batch_id as "batchId", t.batch_index as "batchIndex",
    b.size as "batchSize", t.spec
  from taken t join projects p on p.id = t.project_id left join batches b on b.id = t.batch_id`

/** The hot path: `pg` named statements, as each costs less than half of the query builder's (docs/DB_QUEUE.md). */
export interface ClaimStore {
  /**
   * One transaction: reads what the nodes may take, locks as many queued jobs as could fit (SKIP LOCKED), lets
   * `choose` hand them out, and takes those. Jobs not chosen stay queued.
   */
  claim(
    nodeIds: readonly string[],
    limits: { slots: number; memoryBytes: number },
    choose: (capacity: NodeCapacity[], candidates: Candidate[]) => Pick[],
  ): Promise<ClaimedJob[]>
  close(): Promise<void>
}

/** Opens the connections of the claim path. */
export function createClaimStore(url: string, maxConnections = 2): ClaimStore {
  const types = {
    getTypeParser: (oid: number, format?: 'text' | 'binary') =>
      oid === pg.types.builtins.INT8 ? (parseInt8 as never) : pg.types.getTypeParser(oid, format as never),
  }
  const pool = new pg.Pool({
    connectionString: url,
    max: maxConnections,
    types,
    statement_timeout: 10_000,
    idle_in_transaction_session_timeout: 10_000,
    connectionTimeoutMillis: 5000,
    // A server that says nothing must not hold up all claims for ever.
    query_timeout: 15_000,
  })
  // An idle connection that breaks is replaced by the pool; the next claim meets the error, if there is one.
  pool.on('error', () => undefined)

  return {
    async claim(nodeIds, limits, choose) {
      const client = await pool.connect()
      let broken: Error | undefined
      let open = true
      try {
        await client.query('begin')
        const capacity = await client.query<NodeCapacity>({ name: 'claim-capacity', text: CAPACITY, values: [nodeIds] })
        const free = capacity.rows.reduce((sum, node) => sum + Math.max(0, node.freeSlots), 0)
        const slots = Math.min(free, limits.slots)
        if (slots <= 0) return []
        const largest = Math.max(...capacity.rows.map((node) => node.freeSlots))
        const roomiest = Math.min(limits.memoryBytes, Math.max(...capacity.rows.map((node) => node.freeMemoryBytes)))
        const candidates = await client.query<Candidate>({ name: 'claim-candidates', text: CANDIDATES, values: [largest, roomiest, slots] })
        const picks = choose(capacity.rows, candidates.rows)
        if (picks.length === 0) return []
        const column = (key: keyof Pick) => picks.map((pick) => pick[key])
        const taken = await client.query<ClaimedJob>({
          name: 'claim-take',
          text: TAKE,
          values: [column('jobId'), column('attemptId'), column('nodeId'), column('leaseToken')],
        })
        await client.query('commit')
        open = false
        return taken.rows
      } catch (error) {
        broken = error instanceof Error ? error : new Error(String(error))
        throw error
      } finally {
        if (open && broken === undefined) await client.query('rollback').catch((error: Error) => (broken = error))
        client.release(broken)
      }
    },
    close: () => pool.end(),
  }
}
