import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { HOURS_FROM } from './node-hours.ts'
import { logKey } from './objects.ts'
import type { Db } from './pool.ts'
import { row } from './row.ts'

/** What one look at the database found: how many things were looked at, and what is wrong, in words. */
export interface Finding {
  name: string
  checked: number
  problems: string[]
  /** What to do about it. */
  hint: string
}

type Check = (db: Db) => Promise<Finding>
type Statement = ReturnType<typeof sql.fragment>

const CountRow = row(Type.Object({ count: Type.Number() }))
const ProblemRow = row(Type.Object({ problem: Type.String() }))

/** A check that counts what it looks at and says, for each that is wrong, a sentence. */
function check(name: string, hint: string, count: Statement, problems: Statement): Check {
  return async (db) => {
    const checked = await db.oneFirst(sql.type(CountRow)`select count(*) as count from ${count}`)
    const found = await db.anyFirst(sql.type(ProblemRow)`select problem from (${problems}) as found limit ${MAX_PROBLEMS}`)
    return { name, checked, problems: [...found], hint }
  }
}

/** More of one kind are not told apart any better. */
export const MAX_PROBLEMS = 100
/** How long something may be under way before it is wrong, in seconds. */
const SLACK_SECONDS = 60
/** A scheduler sends something in this time when anything is due. */
const WEBHOOK_SECONDS = 300

const CHECKS: readonly Check[] = [
  check(
    'slots taken are live leases',
    'a lease without a running job blocks a slot: restart the schedulers, and report this with the ids',
    sql.fragment`attempts where finished_at is null`,
    sql.fragment`
      select 'attempt ' || a.id || ' on ' || a.node_id || ' holds ' || a.slots || ' slots for job ' || j.id || ', which is ' || j.state as problem
      from attempts a join jobs j on j.id = a.job_id
      where a.finished_at is null and (j.state <> 'running' or j.attempt_id is distinct from a.id)
      union all
      select 'node ' || n.id || ' has ' || sum(a.slots) || ' slots taken and only ' || n.slots
      from nodes n join attempts a on a.node_id = n.id and a.finished_at is null group by n.id having sum(a.slots) > n.slots`,
  ),
  check(
    'no job runs without a lease',
    'nobody works at such a job: cancel it and submit it again, and report this with the id',
    sql.fragment`jobs where state = 'running'`,
    sql.fragment`
      select 'job ' || j.id || ' is running, and its attempt ' || coalesce(j.attempt_id, 'none') || ' is not' as problem
      from jobs j where j.state = 'running' and not exists (select 1 from attempts a where a.id = j.attempt_id and a.finished_at is null)`,
  ),
  check(
    'no final job has a lease',
    'a lease without a running job blocks a slot: restart the schedulers, and report this with the ids',
    sql.fragment`attempts where finished_at is null`,
    sql.fragment`
      select 'job ' || j.id || ' has ended (' || j.state || '), and attempt ' || a.id || ' on ' || a.node_id || ' is live' as problem
      from attempts a join jobs j on j.id = a.job_id where a.finished_at is null and j.finished_at is not null`,
  ),
  check(
    'times are kept',
    'is a scheduler running and its log free of errors? It lets jobs go on whose time has come',
    sql.fragment`jobs where hold_until is not null or queue_until is not null`,
    sql.fragment`
      select 'job ' || id || ' was to go on at ' || hold_until as problem from jobs where hold_until < now() - make_interval(secs => ${SLACK_SECONDS})
      union all
      select 'job ' || id || ' was to fail in the queue at ' || queue_until from jobs where queue_until < now() - make_interval(secs => ${SLACK_SECONDS})`,
  ),
  check(
    'cancels are obeyed',
    'is the node heard? Its runner stops what is cancelled, or its lease runs out',
    sql.fragment`jobs where state = 'running' and cancel_requested_at is not null`,
    sql.fragment`
      select 'job ' || j.id || ' was cancelled at ' || j.cancel_requested_at || ' and still runs on ' || a.node_id as problem
      from jobs j join attempts a on a.id = j.attempt_id
      where j.state = 'running' and j.cancel_requested_at < now() - make_interval(secs => 300 + ${SLACK_SECONDS})`,
  ),
  check(
    'no batch waits that has room',
    'its next job should have been queued: restart the schedulers, and report this with the id',
    sql.fragment`batches where finished_at is null and parallel is not null`,
    sql.fragment`
      select 'batch ' || b.id || ' has jobs that wait for room, and ' || c.busy || ' of ' || b.parallel || ' under way' as problem
      from batches b join lateral (
        select count(*) filter (where state in ('queued', 'running') or (state = 'held' and hold <> 'batch')) as busy,
          count(*) filter (where state = 'held' and hold = 'batch') as waiting
        from jobs where batch_id = b.id
      ) c on true
      where b.finished_at is null and b.parallel is not null and c.waiting > 0 and c.busy < b.parallel`,
  ),
  check(
    'no container is left of an attempt that has ended',
    'the runner’s housekeeping removes them within a minute; if not, look at its log, then docker rm -f on that machine',
    sql.fragment`(select unnest(containers) from nodes where state <> 'gone') as held`,
    sql.fragment`
      select 'node ' || n.id || ' (' || n.name || ') has the container of ' || c.id || ', which is ' || coalesce(a.state, 'unknown') as problem
      from nodes n cross join lateral unnest(n.containers) as c(id) left join attempts a on a.id = c.id
      where n.state in ('ready', 'draining') and (a.id is null or a.finished_at < n.containers_at - make_interval(secs => ${SLACK_SECONDS}))`,
  ),
  check(
    'nodes are heard',
    'a node that is not heard is declared lost after a lease time by the leading scheduler: is one running? Is the bus well?',
    sql.fragment`nodes where state in ('ready', 'draining')`,
    sql.fragment`
      select 'node ' || id || ' (' || name || ') is ' || state || ', and was heard last at ' || coalesce(last_seen_at::text, 'never') as problem
      from nodes where state in ('ready', 'draining') and coalesce(last_seen_at, enrolled_at) < now() - make_interval(secs => ${SLACK_SECONDS})`,
  ),
  check(
    'webhooks are sent',
    'every scheduler sends them: is one running? Nothing is lost meanwhile. (One that is only slow to be taken is no fault of ours.)',
    sql.fragment`webhook_deliveries where state = 'pending'`,
    sql.fragment`
      select 'delivery whd_' || id || ' (' || type || ') is due since ' || next_try_at || ', and none was sent for ' || ${WEBHOOK_SECONDS}::int || ' s' as problem
      from webhook_deliveries where state = 'pending' and next_try_at < now() - make_interval(secs => ${WEBHOOK_SECONDS})
        and not exists (select 1 from webhook_tries where at > now() - make_interval(secs => ${WEBHOOK_SECONDS}))`,
  ),
  check(
    'paid hours add up',
    'the leading scheduler closes them when they are over: is one running? Where the sum is wrong report this with the ids',
    sql.fragment`node_hours where closed_at > now() - interval '1 day'`,
    sql.fragment`
      select 'hour ' || h.hour || ' of ' || h.node_id || ' cost ' || h.paid_microns || ' microns, and shares and idle are ' || h.idle_microns + c.shared as problem
      from node_hours h
        cross join lateral (select coalesce(sum(cost_microns), 0) as shared from attempt_costs where node_id = h.node_id and hour = h.hour) c
      where h.closed_at > now() - interval '1 day' and h.idle_microns + c.shared <> h.paid_microns
      union all
      select 'hour ' || n.next_hour || ' of ' || n.id || ' was over at ' || ${HOURS_FROM} + make_interval(hours => n.next_hour + 1) || ', and is not closed'
      from nodes n where n.next_hour is not null and ${HOURS_FROM} + make_interval(hours => n.next_hour + 1) < now() - interval '1 hour'`,
  ),
]

/** Looks at everything that must hold in the database. */
export async function examineDatabase(db: Db, outboxSeconds: number): Promise<Finding[]> {
  const findings: Finding[] = []
  for (const run of [...CHECKS, outboxCheck(outboxSeconds)]) findings.push(await run(db))
  return findings
}

function outboxCheck(seconds: number): Check {
  return check(
    'events are relayed',
    'the leading scheduler relays them: is one running, and does NATS answer? Nothing is lost meanwhile',
    sql.fragment`outbox`,
    sql.fragment`
      select 'event ' || e.id || ' (' || e.type || ') has waited since ' || e.created_at as problem
      from outbox o join events e on e.id = o.event_id where e.created_at < now() - make_interval(secs => ${seconds}) order by e.id`,
  )
}

const ObjectRow = row(Type.Object({ id: Type.String(), key: Type.String(), size_bytes: Type.Union([Type.Number(), Type.Null()]) }))
const LogRow = row(Type.Object({ attempt_id: Type.String(), account_id: Type.String(), project_id: Type.String(), job_id: Type.String() }))

/** An object that a row says is there; without a size any will do. */
export interface WantedObject {
  id: string
  key: string
  sizeBytes: number | null
}

/** Rows that say that there is an object, a page at a time in the order of their ids. */
export const WANTED_OBJECTS: readonly { what: string; page(db: Db, afterId: string, limit: number): Promise<WantedObject[]> }[] = [
  {
    what: 'artifact',
    page: (db, afterId, limit) =>
      objectRows(db, sql.fragment`select id, key, size_bytes from artifacts where expired_at is null and id > ${afterId} order by id limit ${limit}`),
  },
  {
    what: 'file',
    page: (db, afterId, limit) =>
      objectRows(db, sql.fragment`select id, key, size_bytes from files where state = 'ready' and id > ${afterId} order by id limit ${limit}`),
  },
  {
    what: 'log of attempt',
    async page(db, afterId, limit) {
      const rows = await db.any(sql.type(LogRow)`
        select a.id as attempt_id, j.account_id, j.project_id, j.id as job_id from attempts a join jobs j on j.id = a.job_id
        where a.log_archived and a.log_expired_at is null and a.id > ${afterId} order by a.id limit ${limit}`)
      return rows.map((log) => ({
        id: log.attempt_id,
        key: logKey({ accountId: log.account_id, projectId: log.project_id, jobId: log.job_id }, log.attempt_id),
        sizeBytes: null,
      }))
    },
  },
]

async function objectRows(db: Db, statement: Statement): Promise<WantedObject[]> {
  const rows = await db.any(sql.type(ObjectRow)`${statement}`)
  return rows.map((object) => ({ id: object.id, key: object.key, sizeBytes: object.size_bytes }))
}

/** Of these keys, those that a row knows: wanted, announced, promised to a node, or to be deleted. For few keys. */
export async function knownKeys(db: Db, keys: readonly string[]): Promise<Set<string>> {
  const these = sql.array([...keys], 'text')
  const attempts = keys.map((key) => /\/(att_[^/.]+)\.ndjson\.gz$/.exec(key)?.[1] ?? '')
  const found = await db.anyFirst(sql.type(row(Type.Object({ key: Type.String() })))`
    select key from pending_objects where key = any(${these})
    union all select key from files where key = any(${these})
    union all select key from artifacts where key = any(${these})
    union all select k.key from unnest(${these}, ${sql.array(attempts, 'text')}) as k(key, attempt_id) join attempts a on a.id = k.attempt_id and a.log_archived`)
  return new Set(found)
}
