import pg from 'pg'
import type { ResolvedSpec } from '#core/job/resolve.ts'
import { parseInt8 } from './pool.ts'

/** What a node may still take, by its live leases. */
export interface NodeCapacity {
  nodeId: string
  freeSlots: number
  freeMemoryBytes: number
}

/** A queued job, and what it takes. */
export interface QueuedJob {
  jobId: string
  slots: number
  memoryBytes: number
}

/** One that is locked by the claim's transaction. */
export interface Candidate extends QueuedJob {
  accountId: string
  /** The share of its account, against that of others. */
  weight: number
  /** The clock of its account before this round, and when it is this job's turn by it. */
  accountAt: number
  due: number
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
  projectId: string
  /** Its slug. */
  project: string
  batchId: string | null
  batchIndex: number | null
  batchSize: number | null
  spec: ResolvedSpec
  /** The trace it belongs to, as it is stored. */
  traceContext: string | null
  /** How long it was queued, this time. */
  queuedSeconds: number
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

/**
 * The jobs whose turn it is, $3 of them at most. Accounts take turns (docs/adr/0014): each has a clock that goes on by what it
 * is given over its weight, and whose clock is furthest behind is next; within an account priority, then age. An account
 * that had nothing to do begins where all are, so that it can neither save up turns nor owe any. However long queues are,
 * only the head of each is read: `heads` walks over the index from one account and project to the next.
 */
const CANDIDATES = `
  with recursive heads as (
    (select account_id, project_id from jobs where state = 'queued' order by account_id, project_id limit 1)
    union all
    select next.account_id, next.project_id from heads h cross join lateral (
      select j.account_id, j.project_id from jobs j
      where j.state = 'queued' and (j.account_id, j.project_id) > (h.account_id, h.project_id) order by j.account_id, j.project_id limit 1
    ) next
  ), accounts_in_turn as (
    select a.account_id, greatest(coalesce(t.at, 0), c.at) as at, coalesce(l.weight, d.weight)::float8 as weight,
      coalesce(l.running_jobs, d.running_jobs) - case when coalesce(l.running_jobs, d.running_jobs) is null then null else (
        select count(*) from attempts r where r.account_id = a.account_id and r.finished_at is null
      ) end as room
    from (select distinct account_id from heads) a cross join claim_clock c
    join limits d on d.id = 'default'
    left join limits l on l.id = a.account_id
    left join account_turns t on t.account_id = a.account_id
  ), next_accounts as (
    select * from accounts_in_turn where room is null or room > 0 order by at, account_id limit $3
  ), ranked as (
    select n.account_id, n.at, n.weight, n.room, j.id, j.slots,
      row_number() over own as place, sum(j.slots) over own - j.slots as before
    from next_accounts n
    join heads h on h.account_id = n.account_id
    left join limits l on l.id = h.project_id
    cross join lateral (
      select q.id, q.slots, q.priority, q.seq from jobs q
      where q.state = 'queued' and q.account_id = h.account_id and q.project_id = h.project_id and q.slots <= $1 and q.memory_bytes <= $2
      order by q.priority desc, q.seq
      limit least($3, case when l.running_jobs is not null then greatest(0, l.running_jobs - (
        select count(*) from attempts r join jobs s on s.id = r.job_id where r.account_id = h.account_id and s.project_id = h.project_id and r.finished_at is null
      )) end)
    ) j
    window own as (partition by n.account_id order by j.priority desc, j.seq rows unbounded preceding)
  ), next_jobs as (
    select id, account_id, at, weight, at + before / weight as due, place from ranked
    where room is null or place <= room order by due, account_id, place limit $3
  )
  select j.id as "jobId", j.slots, j.memory_bytes as "memoryBytes", n.account_id as "accountId", n.weight, n.at as "accountAt", n.due
  from next_jobs n join jobs j on j.id = n.id
  where j.state = 'queued'
  order by n.due, n.account_id, n.place
  for no key update of j skip locked`

/** Puts the clocks on of those that were given something, and the clock of all to the turn that was furthest. */
const TURNS = `
  with given as (
    select * from unnest($1::text[], $2::float8[]) as g (account_id, at)
  ), clock as (
    update claim_clock set at = greatest(at, $3) where at < $3
  )
  insert into account_turns (account_id, at) select account_id, at from given
  on conflict (account_id) do update set at = excluded.at`

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
    insert into attempts (id, account_id, job_id, number, node_id, lease_token, slots, memory_bytes, state, assigned_at)
    select attempt_id, account_id, id, attempt_count, pick_node_id, lease_token, slots, memory_bytes, 'assigned', clock_timestamp() from taken
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
    t.attempt_count as "attemptNumber", p.id as "projectId", p.slug as project, t.batch_id as "batchId", t.batch_index as "batchIndex",
    b.size as "batchSize", t.spec, t.trace_context as "traceContext", extract(epoch from clock_timestamp() - t.queued_at)::float8 as "queuedSeconds"
  from taken t join projects p on p.id = t.project_id left join batches b on b.id = t.batch_id`

/** An arbitrary number that all schedulers of a database share. */
const CLAIM_KEY = 7_246_301_127

/** Where the clocks stand after these picks: of each account that was given something, and of all. */
function turnsOf(picks: readonly Pick[], candidates: readonly Candidate[]): { accounts: string[]; ats: number[]; clock: number } {
  const picked = new Set(picks.map((pick) => pick.jobId))
  const turns = new Map<string, number>()
  let clock = 0
  for (const job of candidates) {
    if (!picked.has(job.jobId)) continue
    turns.set(job.accountId, (turns.get(job.accountId) ?? job.accountAt) + job.slots / job.weight)
    clock = Math.max(clock, job.due)
  }
  return { accounts: [...turns.keys()], ats: [...turns.values()], clock }
}

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
        // One round at a time, in whichever scheduler: what an account has been given is known to the next one.
        await client.query(`begin; select pg_advisory_xact_lock(${CLAIM_KEY})`)
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
        const { accounts, ats, clock } = turnsOf(picks, candidates.rows)
        await client.query({ name: 'claim-turns', text: TURNS, values: [accounts, ats, clock] })
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
