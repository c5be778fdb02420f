import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { sql } from 'slonik'
import type { BatchView } from '#core/api.ts'
import type { CostReport, NodeCostReport } from '#core/cost-api.ts'
import type { Explanation } from '#core/explain.ts'
import { sleep } from '#core/service/time.ts'
import { createDbPool } from '#store/pool.ts'
import { readJob, submitJob } from '../harness/follow.ts'
import { type BoughtPlatform, startBoughtPlatform } from '../harness/machines/bought.ts'
import { listNodes, read, submitShortJobs, watchBatch } from '../harness/machines/timeline.ts'

/** Machines are bought at a stand-in of Hetzner, and are real nodes; the tests go on where the one before ended. */
const DEADLINE_MS = 180_000
const JOBS = 40
const MAX_NODES = 3

let platform: BoughtPlatform
/** Two jobs that keep the one node of the later tests full, until they are cancelled. */
let held: string[] = []

before(async () => {
  platform = await startBoughtPlatform()
})
after(() => platform?.stop())

async function until(what: string, holds: () => Promise<boolean>): Promise<void> {
  const endsMs = performance.now() + DEADLINE_MS
  while (!(await holds())) {
    if (performance.now() > endsMs) throw new Error(`not so in time: ${what}: ${JSON.stringify(await listNodes(platform))}\n${schedulerLog()}`)
    await sleep(100)
  }
}

const schedulerLog = () => readFileSync(join(platform.stateDir, 'logs/scheduler.log'), 'utf8').slice(-3000)
const explain = (jobId: string) => read<Explanation>(platform, `/v1/jobs/${jobId}/explain`)
const counts = async (batchId: string) => (await read<BatchView>(platform, `/v1/batches/${batchId}`)).counts
const jobsOf = async (batchId: string) =>
  (await read<{ items: { id: string }[] }>(platform, `/v1/projects/default/jobs?batch=${batchId}`)).items.map(({ id }) => id)
const calls = (method: string, route: string) => platform.standIn.calls.filter((call) => call.method === method && call.route === route)
const orders = () => calls('POST', '/servers')
/** But rows that are only planned: while buying stops, they stay. */
const nothingBought = () => until('no machine is left', async () => (await listNodes(platform)).every(({ state }) => state === 'planned'))

test('from nothing, 40 jobs bring machines, which run them and go; nothing is left', async (t) => {
  assert.deepEqual(await listNodes(platform), [])
  const batchId = await submitShortJobs(platform, JOBS)
  const jobs = await jobsOf(batchId)
  const told = { first: new Set<string>(), last: new Set<string>() }
  const explaining = until('a machine takes work', async () => {
    const [first, last] = [await explain(jobs[0] ?? ''), await explain(jobs.at(-1) ?? '')]
    if ((await listNodes(platform)).some(({ enrolledAt }) => enrolledAt !== null)) return true
    told.first.add(first.code)
    told.last.add(last.code)
    return false
  })
  const moments = await watchBatch(platform, batchId, {
    deadlineMs: DEADLINE_MS,
    over: ({ succeeded, nodes, servers }) => succeeded === JOBS && Object.keys(nodes).length === 0 && servers === 0,
    tell: (line) => t.diagnostic(line),
  })
  await explaining

  // Until the first plan there is nothing else to say than that there is no machine. For the last job three are not enough.
  for (const [which, code] of [
    ['first', 'booting'],
    ['last', 'capacity'],
  ] as const) {
    assert.ok(told[which].has(code), `${which}: ${[...told[which]].join(', ')}`)
    for (const other of told[which]) assert.ok(['no_nodes', 'booting', code].includes(other), `${which}: ${other} while no machine is there`)
  }
  const most = Math.max(...moments.map(({ servers }) => servers))
  assert.ok(most >= 2 && most <= MAX_NODES, `${most} servers at once`)
  assert.ok(moments.some(({ nodes, running }) => (nodes.ready ?? 0) >= 2 && running > 0))

  const { world } = platform.standIn
  assert.deepEqual([world.servers.size, world.addresses.size, world.groups.size], [0, 0, 0], 'leftovers')
  const bought = world.bill.charges.filter(({ kind }) => kind === 'server').length
  assert.equal(orders().length, bought, 'one order for each machine')
  assert.equal(calls('DELETE', '/servers/:id').length, bought, 'and one deletion')
  const lists = calls('GET', '/servers').length
  // One every 10 s while a change is awaited, and one before the first order.
  assert.ok(lists <= 3 + (moments.at(-1)?.atSeconds ?? 0) / 10, `${lists} listings`)
  t.diagnostic(`${bought} machines; calls: ${orders().length} orders, ${bought} deletions, ${lists} listings, ${platform.standIn.calls.length} in all`)
})

test('where the first two cells have nothing, a job starts on a machine of the third', async () => {
  const nothing = { method: 'POST', route: '/servers', times: 100, error: { code: 'resource_unavailable' } } as const
  platform.standIn.faults.add({ ...nothing, cell: { location: 'fsn1' } }, { ...nothing, cell: { location: 'nbg1' } })
  const before = orders().length
  const hold = () => submitJob(platform, { runtime: 'bash', command: ['sleep', '3600'], gracePeriodSeconds: 0, files: { outputs: [] } })
  held = [await hold(), await hold()]
  await until('both run', async () => (await Promise.all(held.map((id) => readJob(platform, id)))).every(({ state }) => state === 'running'))
  assert.equal(orders().length - before, 3)
  assert.deepEqual(
    (await listNodes(platform)).map(({ location, usedSlots }) => [location, usedSlots]),
    [['hel1', 2]],
  )
  const refused = (await read<{ items: { location: string; error: { code: string } | null }[] }>(platform, '/v1/cells')).items
  assert.deepEqual(
    refused.map(({ location, error }) => [location, error?.code]),
    [
      ['fsn1', 'resource_unavailable'],
      ['nbg1', 'resource_unavailable'],
      ['hel1', undefined],
    ],
  )
})

test('at the limit of the account buying stops, jobs say so at once, and the node that is there is used', async (t) => {
  platform.standIn.faults.clear()
  platform.standIn.faults.add({ method: 'POST', route: '/servers', times: 100, error: { code: 'resource_limit_exceeded', message: 'server limit reached' } })
  const before = orders().length
  // An image of which it is not known that its jobs are short: more than the one node is wanted.
  const template = { runtime: 'node:24', command: ['true'], files: { outputs: [] } }
  const submitted = await platform.api('POST', '/v1/projects/default/batches', { template, items: Array.from({ length: 8 }, () => ({})) })
  assert.equal(submitted.status, 201)
  const batchId = ((await submitted.json()) as { id: string }).id
  const [first = ''] = await jobsOf(batchId)
  await until('an order was answered', async () => orders().length > before)
  const answeredMs = orders().at(-1)?.atMs ?? 0
  let reason = await explain(first)
  for (; reason.code !== 'capacity' && Date.now() - answeredMs < 10_000; reason = await explain(first)) await sleep(20)
  const afterMs = Date.now() - answeredMs
  t.diagnostic(`told ${afterMs} ms after the order came: ${reason.message}`)
  assert.equal(reason.code, 'capacity')
  assert.ok(reason.code === 'capacity' && reason.details.shortage === 'limit')
  assert.match(reason.details.error ?? '', /resource_limit_exceeded.*server limit reached/)
  // Buying stops for a minute: it does not take until then.
  assert.ok(afterMs < 10_000, `${afterMs} ms`)

  await platform.api('POST', `/v1/jobs/${held.pop()}/cancel`)
  await until('the slot that is free runs them all', async () => (await counts(batchId)).succeeded === 8)
  assert.ok(orders().length - before <= MAX_NODES - 1, 'what was under way together with the first one, and nothing more')
  assert.equal(platform.standIn.world.servers.size, 1)
  await platform.api('POST', `/v1/jobs/${held.pop()}/cancel`)
  await nothingBought()
  assert.equal(platform.standIn.world.servers.size, 0)
})

test('what attempts cost and what nobody used add up to what the provider charges', async () => {
  await agePaidHours(70)
  const { world } = platform.standIn
  const bought = world.bill.charges.filter(({ kind }) => kind === 'server').length
  // What was aged may be of yesterday, and of the month before.
  const since = new Date(Date.now() - 86_400_000).toISOString().slice(0, 10)
  const costs = () => read<NodeCostReport>(platform, `/v1/nodes/cost?by=node&since=${since}`)
  await until('all hours are closed', async () => (await costs()).total.hours === bought)
  const { total, open } = await costs()
  assert.equal(open.nodes, 0)
  assert.equal(total.paidMicrons, world.bill.totalMicrons())
  assert.equal(total.costMicrons + total.idleMicrons, total.paidMicrons)
  const { total: project } = await read<CostReport>(platform, `/v1/cost?by=job&limit=100&since=${since}`)
  assert.ok(project.costMicrons > 0)
  assert.deepEqual([project.costMicrons, project.provisionalMicrons, project.attempts], [total.costMicrons, 0, JOBS + 2 + 8])
})

/** As if so much time had passed: hours are closed a minute after they are over. */
async function agePaidHours(seconds: number): Promise<void> {
  const admin = await createDbPool(readFileSync(join(platform.stateDir, 'secrets/postgres-admin-url'), 'utf8').trim(), 1)
  const ago = sql.fragment`make_interval(secs => ${seconds})`
  await admin.transaction(async (tx) => {
    await tx.query(sql.unsafe`update nodes set billed_from = billed_from - ${ago}, billed_until = billed_until - ${ago}, ended_at = ended_at - ${ago}`)
    await tx.query(sql.unsafe`update attempts set assigned_at = assigned_at - ${ago}, finished_at = finished_at - ${ago}`)
  })
  await admin.end()
}
