import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import pg from 'pg'
import { sql } from 'slonik'
import type { CostReport, Estimate, NodeCostReport } from '#core/cost-api.ts'
import { worstCase } from '#core/money.ts'
import { sleep } from '#core/service/time.ts'
import { createApiKey, ensureProject } from '#store/bootstrap.ts'
import { expectedSeconds } from '#store/history.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { row } from '#store/row.ts'
import { createReportTurns } from '../../../gateway/limits/report-turns.ts'
import { closeHours } from '../../../scheduler/cost/closer.ts'
import { HOUR_MS } from '../../../scheduler/cost/paid-hour.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { createPaidNodes, type PaidNodes } from '../../harness/paid-nodes.ts'
import { makeProject } from '../../harness/tenants.ts'

const PRICE = 3_600_000
const minutes = (n: number) => n * 60_000
/** Noon, so that no test runs over midnight in what it makes. */
const NOON_MS = Date.parse(`${new Date(Date.now() - 48 * HOUR_MS).toISOString().slice(0, 10)}T12:00:00Z`)
const DAY = new Date(NOON_MS).toISOString().slice(0, 10)
const RANGE = `since=${DAY}`

let gateway: TestGateway
let scheduler: DatabasePool
let paid: PaidNodes
before(async () => {
  gateway = await startGateway({ slotHourMicrons: PRICE })
  scheduler = await createDbPool(gateway.schedulerUrl, 2)
  paid = createPaidNodes(gateway.admin, gateway.factory)
})
after(async () => {
  await scheduler.end()
  await gateway.stop()
})

const close = () => closeHours(scheduler, new AbortController().signal)
async function get<T>(path: string, headers: Record<string, string> = {}): Promise<T> {
  const answer = await gateway.call('GET', path, undefined, headers)
  assert.equal(answer.statusCode, 200, answer.body)
  return answer.json<T>()
}
/** Submits, so that the row is what a submit makes of it; returns the id. */
async function submit(document: object): Promise<string> {
  const answer = await gateway.call('POST', '/v1/projects/default/jobs', document)
  assert.equal(answer.statusCode, 201, answer.body)
  return answer.json<{ id: string }>().id
}
const estimate = (document: unknown, query = '') => gateway.call('POST', `/v1/estimate?project=default${query}`, document)

test('by day, job, batch and label, the same money; idle is the operators’, and all of it is what was paid', async () => {
  const batchId = await gateway.factory.batch({ size: 1 })
  const [red, blue, plain] = [
    await submit({ metadata: { name: 'red', labels: { team: 'red' } }, spec: { runtime: 'bash', command: ['true'] } }),
    await submit({ metadata: { labels: { team: 'blue' } }, spec: { runtime: 'bash', command: ['true'] } }),
    await gateway.factory.job({ batchId, batchIndex: 0 }),
  ]
  const node = await paid.node(NOON_MS, NOON_MS + minutes(100))
  await paid.attempt(node, NOON_MS, NOON_MS + minutes(30), { jobId: red, charge: 11 })
  await paid.attempt(node, NOON_MS, NOON_MS + minutes(60), { jobId: blue, charge: 22 })
  await paid.attempt(node, NOON_MS + minutes(60), NOON_MS + minutes(70), { jobId: plain, charge: 33 })
  await close()
  const total = { attempts: 3, slotSeconds: 6000, costMicrons: 2400 + 4800 + 800, provisionalMicrons: 0, chargeMicrons: 66 }
  const shown = async (by: string) => {
    const report = await get<CostReport>(`/v1/cost?by=${by}&${RANGE}`)
    assert.deepEqual([report.total, report.omitted], [total, 0], by)
    return report.items.map(({ key, name, costMicrons, chargeMicrons }) => [key, name, costMicrons, chargeMicrons])
  }
  assert.deepEqual(await shown('day'), [[DAY, null, 8000, 66]])
  assert.deepEqual(await shown('job'), [
    [blue, null, 4800, 22],
    [red, 'red', 2400, 11],
    [plain, null, 800, 33],
  ])
  assert.deepEqual(await shown('batch'), [
    [null, null, 7200, 33],
    [batchId, null, 800, 33],
  ])
  assert.deepEqual(await shown('label:team'), [
    ['blue', null, 4800, 22],
    ['red', null, 2400, 11],
    [null, null, 800, 33],
  ])
  const first = await get<CostReport>(`/v1/cost?by=job&limit=1&${RANGE}`)
  assert.deepEqual([first.items.length, first.omitted, first.total], [1, 2, total])
  const nodes = await get<NodeCostReport>(`/v1/nodes/cost?by=node&${RANGE}`)
  assert.deepEqual(nodes.items, [{ key: node, hours: 2, paidMicrons: 19_200, costMicrons: 8000, idleMicrons: 11_200 }])
  assert.deepEqual((await get<NodeCostReport>(`/v1/nodes/cost?by=type&${RANGE}`)).items[0]?.key, 'test cx23 nbg1')
  assert.deepEqual((await get<NodeCostReport>(`/v1/nodes/cost?${RANGE}`)).items, [{ ...nodes.total, key: DAY }])
})

test('hours that are not closed are shown as provisional, until they are', async () => {
  const startMs = Date.now() - minutes(40)
  const node = await paid.node(startMs, null)
  await paid.attempt(node, startMs, startMs + minutes(15), { charge: 7 })
  await paid.attempt(node, startMs, null)
  // The day on which its hour begins, also after it is made to begin a little earlier.
  const since = new Date(startMs - minutes(5)).toISOString().slice(0, 10)
  const before = await get<CostReport>(`/v1/cost?since=${since}`)
  const { costMicrons, provisionalMicrons, attempts, chargeMicrons } = before.total
  assert.equal(provisionalMicrons, costMicrons)
  assert.deepEqual([attempts, chargeMicrons], [1, 7])
  // 15 min of one slot, and about 40 of the other.
  assert.ok(costMicrons >= 1200 + 3200 && costMicrons < 1200 + 3200 + 400, `${costMicrons}`)
  const open = (await get<NodeCostReport>('/v1/nodes/cost')).open
  assert.deepEqual(open, { nodes: open.nodes, hourMicrons: 9600 })
  await gateway.admin.query(
    sql.unsafe`update attempts set state = 'succeeded', cause = 'exit', finished_at = now() where node_id = ${node} and finished_at is null`,
  )
  await gateway.admin.query(sql.unsafe`
    update nodes set state = 'gone', billed_from = billed_from - interval '5 minutes', billed_until = now() - interval '2 minutes' where id = ${node}`)
  assert.equal(await close(), 1)
  const after = (await get<CostReport>(`/v1/cost?since=${since}`)).total
  assert.equal(after.provisionalMicrons, 0)
  assert.ok(after.costMicrons >= 1200 + 3000 && after.costMicrons < 1200 + 3200 + 400, `${after.costMicrons}`)
})

test('nobody sees what others cost, nor what is idle', async () => {
  const stranger = await createApiKey(gateway.admin, await ensureProject(gateway.admin, 'stranger', 'stranger'), 'stranger', ['*'])
  const sibling = await createApiKey(gateway.admin, await makeProject(gateway.admin, gateway.factory.accountId), 'sibling', ['*'])
  for (const key of [stranger, sibling]) {
    const asOther = { authorization: `Bearer ${key}` }
    assert.deepEqual((await get<CostReport>(`/v1/cost?${RANGE}`, asOther)).items, [])
    assert.equal((await gateway.call('GET', '/v1/nodes/cost', undefined, asOther)).statusCode, 403)
    assert.equal((await gateway.call('GET', '/v1/cost?project=default', undefined, asOther)).statusCode, 404)
  }
  assert.equal(await gateway.db.exists(sql.unsafe`select 1 from node_hours`), false)
  assert.equal(await gateway.db.exists(sql.unsafe`select 1 from attempt_costs`), true)
})

test('what cannot be asked is named', async () => {
  for (const [query, path] of [
    ['by=colour', 'by'],
    ['by=label:', 'by'],
    ['since=2026-02-31', 'since'],
    ['until=yesterday', 'until'],
    ['since=0000-01-01', 'since'],
    ['until=0000-12-31', 'until'],
    ['since=2026-03-02&until=2026-03-01', 'since'],
    ['limit=0', 'limit'],
  ]) {
    const answer = await gateway.call('GET', `/v1/cost?${query}`)
    assert.equal(answer.statusCode, 422, query)
    assert.match(JSON.stringify(answer.json().errors), new RegExp(`"path":"[^"]*${path}`), query)
  }
})

const SCRIPT = { spec: { runtime: 'bash', command: ['bash', 'work.sh'], args: ['a'], timeoutSeconds: 100 } }
const SECONDS = { runtime: 'bash', command: ['bash', 'other.sh'] }

test('an estimate is by the same script, else by the same runtime, else it says that nothing is known', async () => {
  await gateway.admin.query(sql.unsafe`delete from attempts`)
  await gateway.admin.query(sql.unsafe`delete from jobs`)
  const worst = worstCase({ slots: 1, timeoutSeconds: 100, prepareTimeoutSeconds: 600, gracePeriodSeconds: 10, retries: 0 }, PRICE).jobMicrons
  const nothing = (await estimate(SCRIPT)).json<Estimate>()
  assert.deepEqual(nothing, { basis: null, n: 0, jobs: 1, slots: 1, seconds: null, chargeMicrons: null, costMicrons: null, reserveMicrons: worst })
  const node = await gateway.factory.node()
  const ran = async (document: object, seconds: number) => paid.attempt(node, NOON_MS, NOON_MS + seconds * 1000, { jobId: await submit(document) })
  await ran({ spec: SECONDS }, 300)
  const byRuntime = (await estimate(SCRIPT)).json<Estimate>()
  assert.deepEqual([byRuntime.basis, byRuntime.n, byRuntime.seconds], ['runtime', 1, { median: 300, p90: 300 }])
  for (const [i, seconds] of [10, 20, 30, 40].entries()) await ran({ spec: { ...SCRIPT.spec, args: [`${i}`], env: { N: `${i}` } } }, seconds)
  const byScript = (await estimate({ metadata: { name: 'x' }, ...SCRIPT }, '&jobs=3')).json<Estimate>()
  assert.deepEqual(byScript, {
    basis: 'script',
    n: 4,
    jobs: 3,
    slots: 1,
    seconds: { median: 25, p90: 37 },
    chargeMicrons: { median: 3 * 25_000, p90: 3 * 37_000 },
    costMicrons: null,
    reserveMicrons: 3 * worst,
  })
  await gateway.admin.query(sql.unsafe`
    insert into cells (provider, server_type, location, place, arch, slots, memory_bytes, hour_microns, available)
    values ('t', 'a', 'x', 1, 'amd64', 2, 1, 7200, true), ('t', 'b', 'x', 2, 'amd64', 4, 1, 12000, true), ('t', 'c', 'x', 3, 'amd64', 4, 1, 1, false)`)
  // 3,000 an hour of a slot.
  assert.deepEqual((await estimate(SCRIPT)).json<Estimate>().costMicrons, { median: Math.ceil((25 * 3000) / 3600), p90: Math.ceil((37 * 3000) / 3600) })
  const twoCpus = (await estimate({ spec: { ...SCRIPT.spec, resources: { cpu: 2 } } })).json<Estimate>()
  assert.deepEqual([twoCpus.basis, twoCpus.slots, twoCpus.chargeMicrons], ['script', 2, { median: 50_000, p90: 74_000 }])
})

test('the queue’s expectation is the median of each workload; null where none has succeeded', async () => {
  const known = await gateway.admin.one(sql.unsafe`select project_id, workload from jobs where spec ->> 'command' like '%work.sh%' limit 1`)
  const { project_id: projectId, workload } = known as { project_id: string; workload: string }
  assert.deepEqual(
    await expectedSeconds(scheduler, [
      { projectId, workload: 'none' },
      { projectId, workload },
      { projectId: 'proj_x', workload },
    ]),
    [null, 25, null],
  )
  assert.deepEqual(await expectedSeconds(scheduler, []), [])
})

test('an estimate of a wrong document names its field, and stores nothing', async () => {
  const count = () => gateway.admin.one(sql.unsafe`select count(*) from jobs`)
  const before = await count()
  const wrong = await estimate({ spec: { runtime: 'bash', command: ['true'], retries: -1 } })
  assert.equal(wrong.statusCode, 422)
  assert.equal(wrong.json().errors[0].path, 'spec.retries')
  assert.equal((await estimate(SCRIPT, '&jobs=0')).statusCode, 422)
  assert.equal((await estimate({ metadata: { project: 'other' }, ...SCRIPT })).json().errors[0].path, 'metadata.project')
  assert.deepEqual(await count(), before)
})

/** Looks again and again; fails after 20 s. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  const deadline = AbortSignal.timeout(20_000)
  while (!(await holds())) await sleep(20, deadline)
}

test('reports of an account are made one after the other, and hold up nothing else of it', async () => {
  const waiting = () =>
    gateway.admin.oneFirst(sql.type(row(Type.Object({ n: Type.Number() })))`
      select count(*)::int as n from pg_stat_activity where wait_event_type = 'Lock' and query like '%attempt_costs%' and datname = current_database()`)
  let refused = 0
  const ask = async () => {
    const { statusCode } = await gateway.call('GET', `/v1/cost?${RANGE}`)
    if (statusCode === 429) refused++
    return statusCode
  }
  const other = new pg.Client({ connectionString: gateway.schedulerUrl })
  await other.connect()
  await other.query('begin; lock table attempt_costs in access exclusive mode')
  try {
    const first = ask()
    await until(async () => (await waiting()) === 1)
    const more = Array.from({ length: 19 }, ask)
    // Those that find no place in the line are refused, while the others wait.
    await until(async () => refused === 9)
    assert.equal((await gateway.call('GET', '/v1/projects/default/jobs')).statusCode, 200)
    assert.equal(await waiting(), 1)
    await other.query('commit')
    assert.deepEqual((await Promise.all([first, ...more])).sort(), [...Array(11).fill(200), ...Array(9).fill(429)])
  } finally {
    await other.end()
  }
})

test('a report that takes the database too long says so', async () => {
  const slow = createReportTurns()
  const work = () =>
    gateway.admin.transaction(async (tx) => {
      await tx.query(sql.unsafe`set local statement_timeout = 20`)
      await tx.query(sql.unsafe`select pg_sleep(10)`)
    })
  await assert.rejects(slow('acc_1', work), { code: 'unavailable', message: /fewer days/ })
})
