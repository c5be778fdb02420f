// The statements of the claim (store/claims.ts), which is the hot path: each is prepared once, under a name.

const ROOM = `
  n.id as "nodeId",
    n.slots - coalesce(used.slots, 0)::int as "freeSlots",
    n.memory_bytes - coalesce(used.memory_bytes, 0)::bigint as "freeMemoryBytes",
    case when n.provider is not null then extract(epoch from now() - coalesce(n.billed_from, n.enrolled_at))::float8 end as "ageSeconds",
    n.images
  from nodes n
  left join lateral (
    select sum(slots) as slots, sum(memory_bytes) as memory_bytes from attempts where node_id = n.id and finished_at is null
  ) used on true`

/** What the nodes $1 have free. They stay locked: nobody declares them lost meanwhile. */
export const CAPACITY = `
  select ${ROOM}
  where n.id = any($1) and n.state = 'ready' and n.drain_requested_at is null
  order by n.id
  for no key update of n`

/** Nodes that have just been heard, have room, and have one of the images $2 or are no older than $3. Nothing is locked: it is a hint. */
export const ELSEWHERE = `
  select * from (
    select ${ROOM}
    where n.state = 'ready' and n.drain_requested_at is null and n.id <> all($1) and n.last_seen_at > now() - interval '10 seconds'
  ) room
  where "freeSlots" > 0 and (images && $2 or $3::float8 is not null and coalesce("ageSeconds", 0) <= $3)
  order by "freeSlots" desc limit 64`

// For so long a job is kept from the nodes that failed it, if another one could take it.
const avoidedEnough = (job: 'q' | 'j') => `${job}.queued_at < now() - interval '30 seconds'`

/**
 * The jobs whose turn it is, $3 of them at most, that may go to one of the nodes $4. Accounts take turns (docs/adr/0014): each has
 * a clock that goes on by what it is given over its weight, and whose clock is furthest behind is next; within an account priority,
 * then age. An account that had nothing to do begins where all are, so that it can neither save up turns nor owe any. However long
 * queues are, only the head of each is read: `heads` walks over the index from one account and project to the next. A job that all of $4
 * failed is passed over while another node could take it (docs/adr/0025); whether one could is asked for such jobs only.
 */
export const CANDIDATES = `
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
        and (q.avoid_nodes is null or not q.avoid_nodes @> $4::text[] or ${avoidedEnough('q')} or not rgrid_others_could(q.slots, q.memory_bytes, q.avoid_nodes))
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
  select j.id as "jobId", j.slots, j.memory_bytes as "memoryBytes", n.account_id as "accountId", n.weight, n.at as "accountAt", n.due,
    j.spec ->> 'image' as image, coalesce((j.spec ->> 'prepareTimeoutSeconds')::float8, 600) + (j.spec ->> 'timeoutSeconds')::float8
      + (j.spec ->> 'gracePeriodSeconds')::float8 as "mostSeconds",
    case when j.avoid_nodes is null or ${avoidedEnough('j')} then '{}' else j.avoid_nodes end as avoid
  from next_jobs n join jobs j on j.id = n.id
  where j.state = 'queued'
  order by n.due, n.account_id, n.place
  for no key update of j skip locked`

/** Puts the clocks on of those that were given something, and the clock of all to the turn that was furthest. */
export const TURNS = `
  with given as (
    select * from unnest($1::text[], $2::float8[]) as g (account_id, at)
  ), clock as (
    update claim_clock set at = greatest(at, $3) where at < $3
  )
  insert into account_turns (account_id, at) select account_id, at from given
  on conflict (account_id) do update set at = excluded.at`

/** Takes jobs for nodes: job, attempt, event and outbox row at once. */
export const TAKE = `
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
