import { monitorEventLoopDelay } from 'node:perf_hooks'
import { parseArgs } from 'node:util'
import { sql } from 'slonik'
import { recordVerdicts } from '#store/machines.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createFacts } from '../../scheduler/machines/facts.ts'
import { planMachines } from '../../scheduler/plan/plan-machines.ts'
import { createTestDatabase } from '../harness/database.ts'
import { anOffer, aPolicy } from '../harness/plan-input.ts'
import { aSpec } from '../harness/spec.ts'
import { makeTenant, queueJobs, type Tenant } from '../harness/tenants.ts'
import { quantile } from '../sim/report.ts'
import { withServices } from './with-services.ts'

/**
 * `npm run bench:round -- [--nodes N] [--jobs N] [--rounds N]`: what a round of the planner takes with everything that it reads and
 * writes, by the tables as they are with so many machines, three jobs on each, and so many more that wait, of a hundred accounts.
 */
const { values } = parseArgs({
  options: { nodes: { type: 'string', default: '10000' }, jobs: { type: 'string', default: '1000000' }, rounds: { type: 'string', default: '30' } },
})
const [nodes, jobs, rounds] = [Number(values.nodes), Number(values.jobs), Number(values.rounds)]
const ACCOUNTS = 100
const RUNNING = 3
const SLOTS = 4
const GI = 2 ** 30

await withServices(async () => {
  const database = await createTestDatabase()
  const admin = await createDbPool(database.adminUrl, 2)
  const tenants: Tenant[] = []
  for (let i = 0; i < ACCOUNTS; i++) tenants.push(await makeTenant(admin))
  for (const tenant of tenants) await queueJobs(admin, tenant, jobs / ACCOUNTS)
  await seedFleet(admin, tenants)
  await admin.query(sql.unsafe`vacuum analyze jobs`)
  await admin.query(sql.unsafe`vacuum analyze attempts`)
  await admin.query(sql.unsafe`vacuum analyze nodes`)
  const db = await createDbPool(database.schedulerUrl, 4)
  await measure(db)
  await Promise.all([db.end(), admin.end()])
  await database.drop()
})

async function seedFleet(admin: DatabasePool, tenants: readonly Tenant[]): Promise<void> {
  await admin.query(sql.unsafe`
    insert into nodes (id, name, pool, state, slots, memory_bytes, public_key, version, enrolled_at, last_seen_at, provider, server_type, location, server_id,
      hour_microns, billed_from)
    select 'node_' || i, 'n' || i, 'default', 'ready', ${SLOTS}, ${8 * GI}, 'U', 'bench', now(), now(), 'bench', 'cx33', 'fsn1', i::text, 10000,
      now() - (i % 3600) * interval '1 second' from generate_series(1, ${nodes}) as i`)
  const spec = JSON.stringify(aSpec())
  for (const [place, { accountId, projectId }] of tenants.entries()) {
    await admin.query(sql.unsafe`
      insert into jobs (id, account_id, project_id, spec, slots, memory_bytes, priority, state, attempt_id, reason)
      select 'job_run_' || n || '_' || k, ${accountId}, ${projectId}, ${spec}::jsonb, 1, ${GI}, 0, 'running', 'att_' || n || '_' || k, 'on a machine'
      from generate_series(${place + 1}::int, ${nodes}::int, ${ACCOUNTS}::int) as n, generate_series(1, ${RUNNING}) as k`)
    await admin.query(sql.unsafe`
      insert into attempts (id, account_id, job_id, number, node_id, lease_token, slots, memory_bytes, state)
      select 'att_' || n || '_' || k, ${accountId}, 'job_run_' || n || '_' || k, 1, 'node_' || n, 'x', 1, ${GI}, 'running'
      from generate_series(${place + 1}::int, ${nodes}::int, ${ACCOUNTS}::int) as n, generate_series(1, ${RUNNING}) as k`)
  }
}

async function measure(db: DatabasePool): Promise<void> {
  const facts = createFacts(db, 'bench', ['amd64'])
  const offers = ['fsn1', 'nbg1', 'hel1'].map((location) => anOffer({ location, slots: SLOTS, memoryBytes: 8 * GI }))
  const policy = aPolicy({ maxNodes: nodes + 500, burst: 100 })
  const times = { read: [] as number[], plan: [] as number[], write: [] as number[], held: [] as number[] }
  for (let round = -3; round < rounds; round++) {
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const beganMs = performance.now()
    const known = await facts.read()
    const readMs = performance.now()
    const plan = planMachines({ ...known, offers, policy, boughtAtMs: null })
    const plannedMs = performance.now()
    await recordVerdicts(db, [...plan.keep, ...plan.drain, ...plan.resume, ...plan.remove])
    const doneMs = performance.now()
    delay.disable()
    if (known.nodes.length !== nodes || known.waiting.length === 0) throw new Error(`${known.nodes.length} nodes, ${known.waiting.length} kinds of jobs wait`)
    // The first ones warm up.
    if (round < 0) continue
    times.read.push(readMs - beganMs)
    times.plan.push(plannedMs - readMs)
    times.write.push(doneMs - plannedMs)
    times.held.push(delay.max / 1e6)
  }
  console.log(`${nodes} machines with ${RUNNING} jobs each, ${jobs} jobs wait: a round of the planner, median and p99`)
  for (const [what, told] of [
    ['read', 'facts from Postgres'],
    ['plan', 'the plan'],
    ['write', 'verdicts to Postgres'],
    ['held', 'the longest that nothing else ran'],
  ] as const)
    console.log(`  ${told.padEnd(34)} ${quantile(times[what], 0.5).toFixed(1).padStart(7)} ms  ${quantile(times[what], 0.99).toFixed(1).padStart(7)} ms`)
}
