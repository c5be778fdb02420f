import pg from 'pg'
import type { ResolvedSpec } from '#core/job/resolve.ts'
import { CANDIDATES, CAPACITY, ELSEWHERE, TAKE, TURNS } from './claim-statements.ts'
import { parseInt8 } from './pool.ts'

/** What a node may still take, by its live leases. */
export interface NodeCapacity {
  nodeId: string
  freeSlots: number
  freeMemoryBytes: number
  /** How old a machine is that was bought, in seconds of paid time; null: it was set up by hand, and nobody will delete it. */
  ageSeconds: number | null
  /** The images that it has, by their keys (core/image-name.ts). */
  images: readonly string[]
}

/** A queued job, and what it takes. */
export interface QueuedJob {
  jobId: string
  slots: number
  memoryBytes: number
  image: string
  /** The longest that it may take, from its assignment to the end of its grace period. */
  mostSeconds: number
  /** Nodes that failed it of late: it goes to none of these, unless none but these ask, as then no other could take it. */
  avoid: readonly string[]
}

/** Nodes that did not ask, of which some may suit a job better: with one of these images, or no older than this. */
export interface Search {
  images: readonly string[]
  maxAgeSeconds: number | null
}

/** What is decided about a round of claims while its transaction is open. */
export interface Round {
  /** Whom else to consider; undefined: nobody. */
  search(capacity: readonly NodeCapacity[], candidates: readonly Candidate[]): Search | undefined
  /** Hands out jobs to those who asked. Jobs not chosen stay queued. */
  choose(capacity: readonly NodeCapacity[], candidates: readonly Candidate[], elsewhere: readonly NodeCapacity[]): Pick[]
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

async function readElsewhere(client: pg.PoolClient, values: unknown[]): Promise<NodeCapacity[]> {
  return (await client.query<NodeCapacity>({ name: 'claim-elsewhere', text: ELSEWHERE, values })).rows
}

/** The hot path: `pg` named statements, as each costs less than half of the query builder's (docs/DB_QUEUE.md). */
export interface ClaimStore {
  /**
   * One transaction: reads what the nodes may take, locks as many queued jobs as could fit (SKIP LOCKED), lets the round
   * hand them out, and takes those.
   */
  claim(nodeIds: readonly string[], limits: { slots: number; memoryBytes: number }, round: Round): Promise<ClaimedJob[]>
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
    async claim(nodeIds, limits, round) {
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
        const asking = capacity.rows.map((node) => node.nodeId)
        const candidates = await client.query<Candidate>({ name: 'claim-candidates', text: CANDIDATES, values: [largest, roomiest, slots, asking] })
        const search = candidates.rows.length === 0 ? undefined : round.search(capacity.rows, candidates.rows)
        const elsewhere = search && (await readElsewhere(client, [nodeIds, search.images, search.maxAgeSeconds]))
        const picks = round.choose(capacity.rows, candidates.rows, elsewhere ?? [])
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
