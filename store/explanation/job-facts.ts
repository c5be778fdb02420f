import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { maybe } from '#core/api.ts'
import type { AttemptState, Cause, Hold, JobState } from '#core/job/state.ts'

/** Counting those ahead in the queue stops here: "1000 or more" says enough. */
const MAX_AHEAD = 1000

/** What of a job itself decides why it is where it is. */
export interface JobFacts {
  jobId: string
  state: JobState
  slots: number
  memoryBytes: number
  hold: Hold | null
  holdUntilMs: number | null
  batchId: string | null
  /** Of its account, as others take turns with it; null: so many or more are ahead that they were not counted. */
  ahead: number | null
  aheadMost: number
  cause: Cause | null
  exitCode: number | null
  message: string | null
  cancelRequested: boolean
  retries: number
  retriesUsed: number
  infraRetriesUsed: number
  /** Its latest. */
  attempt: { id: string; number: number; nodeId: string; state: AttemptState; cause: Cause | null; since: string } | null
}

/** A row with the facts in a column `facts`. */
export const FactsRow = Type.Object({ ahead: maybe(Type.Number()), facts: Type.Unsafe<Omit<JobFacts, 'ahead' | 'aheadMost'>>(Type.Any()) })

/**
 * The heads of the queues of an account, up to where it is counted: only they are walked, in the order of the index, as
 * counting what lies before a job would walk all of it. A common table expression.
 */
export const HEAD = sql.fragment`
  head as materialized (
    select seq, row_number() over (order by priority desc, seq) - 1 as ahead
    from (
      select q.priority, q.seq from projects o cross join lateral (
        select priority, seq from jobs where state = 'queued' and account_id = o.account_id and project_id = o.id order by priority desc, seq limit ${MAX_AHEAD}
      ) q order by q.priority desc, q.seq limit ${MAX_AHEAD}
    ) first
  )`

/** The columns of FactsRow for the job `j`, with HEAD before. */
export const FACTS = sql.fragment`
  case when j.state = 'queued' then (select h.ahead from head h where h.seq = j.seq) end as ahead,
  jsonb_build_object(
    'jobId', j.id, 'state', j.state, 'slots', j.slots, 'memoryBytes', j.memory_bytes, 'hold', j.hold,
    'holdUntilMs', (extract(epoch from j.hold_until) * 1000)::int8, 'batchId', j.batch_id,
    'cause', j.cause, 'exitCode', j.exit_code, 'message', j.message, 'cancelRequested', j.cancel_requested_at is not null,
    'retries', (j.spec ->> 'retries')::int, 'retriesUsed', j.retries_used, 'infraRetriesUsed', j.infra_retries_used,
    'attempt', (select jsonb_build_object('id', a.id, 'number', a.number, 'nodeId', a.node_id, 'state', a.state, 'cause', a.cause,
      'since', coalesce(a.started_at, a.assigned_at)) from attempts a where a.id = j.attempt_id)
  ) as facts`

/** The facts of such a row. */
export function factsOf(found: typeof FactsRow.static): JobFacts {
  const { attempt } = found.facts
  return {
    ...found.facts,
    ahead: found.ahead,
    aheadMost: MAX_AHEAD,
    attempt: attempt && { ...attempt, since: new Date(attempt.since).toISOString() },
  }
}
