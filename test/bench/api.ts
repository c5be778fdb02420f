import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { parseArgs } from 'node:util'
import autocannon from 'autocannon'
import { sql } from 'slonik'
import { createApiKey, ensureProject } from '#store/bootstrap.ts'
import { changeLimits } from '#store/limits.ts'
import { createDbPool } from '#store/pool.ts'
import { rollUpUsage } from '#store/usage.ts'
import { createTestDatabase } from '../harness/database.ts'
import { makeTenant } from '../harness/tenants.ts'
import { type FloodName, sendFromOutside } from './api/floods.ts'
import { startGatewayProcess } from './gateway.ts'
import { median } from './median.ts'
import { withServices } from './with-services.ts'

/**
 * `npm run bench:api -- [--seconds N] [--rounds N] [--connections N,M]`: submits of single jobs to a gateway, of an account without
 * limits, of one whose storage is limited, and of one with a monthly limit and one of open jobs, beside a bare Fastify route that does one INSERT, all in turns in
 * one run on the same Postgres; usage is rolled up each second, as the scheduler does it. Then the submits of a quiet account
 * alone, and while another one submits as quickly as it can, or sends the largest bodies that are read before they are refused.
 */
const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '5' }, rounds: { type: 'string', default: '3' }, connections: { type: 'string', default: '16,64' } },
})
const [seconds, rounds] = [Number(values.seconds), Number(values.rounds)]
const BODY = JSON.stringify({ metadata: { name: 'bench', labels: { team: 'media' } }, spec: { runtime: 'bash', command: ['true'], env: { A: 'b' } } })

interface Target {
  url: string
  key?: string
}

await withServices(compare)

async function compare(): Promise<void> {
  const database = await createTestDatabase()
  const admin = await createDbPool(database.adminUrl, 2)
  await admin.query(sql.unsafe`create table bare_jobs (id text primary key, spec jsonb not null, created_at timestamptz not null default now())`)
  const bare = spawn(process.execPath, ['test/bench/api/bare.ts'], {
    env: { ...process.env, BARE_DATABASE_URL: database.adminUrl },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [bareUrl] = (await once(createInterface({ input: bare.stdout }), 'line')) as [string]
  const gateway = await startGatewayProcess(database.gatewayUrl)

  const submitTo = async (projectId: string, slug: string): Promise<Target> => ({
    url: `${gateway.url}/v1/projects/${slug}/jobs`,
    key: await createApiKey(admin, projectId, 'bench'),
  })
  const tenant = async (limits?: object) => {
    const { accountId, projectId } = await makeTenant(admin)
    if (limits) await changeLimits(admin, { accountId, projectId: null }, limits)
    return submitTo(projectId, projectId.slice(5).replaceAll('_', '-'))
  }
  const targets: Record<string, Target> = {
    'a bare INSERT': { url: `${bareUrl}/jobs` },
    'a submit': await submitTo(await ensureProject(admin, 'default', 'default'), 'default'),
    'one with limited storage': await tenant({ storageBytes: 1e15 }),
    'a submit within limits': await tenant({ monthMicrons: 1e15, openJobs: 1e9 }),
  }
  const roller = setInterval(() => void rollUpUsage(admin), 1000)
  for (const connections of values.connections.split(',').filter(Boolean).map(Number)) await compareAt(connections, targets)

  const quiet = await tenant()
  const [busy, held] = [await tenant({ monthMicrons: 1e15, openJobs: 1e9 }), await tenant({ requestsPerSecond: 100 })]
  const flooding = await tenant()
  const flood = (name: FloodName, connections: number) => () =>
    sendFromOutside({ url: flooding.url.replace(/\/jobs$/, ''), key: flooding.key ?? '' }, name, connections)
  await comparePaces(quiet, {
    nobody: () => async () => undefined,
    'one that submits jobs as quickly as it can': noise(busy),
    'one that does so and may send 100 a second': noise(held),
    '1 connection with wrong batches of 4 MiB as JSON': flood('document', 1),
    '16 connections with such batches': flood('document', 16),
    '16 connections with wrong batches of 45 MiB as NDJSON': flood('lines', 16),
    '16 connections with wrong jobs of 4 MiB': flood('job', 16),
  })

  clearInterval(roller)
  await gateway.stop()
  bare.kill()
  await admin.end()
  await database.drop()
}

async function compareAt(connections: number, targets: Record<string, Target>): Promise<void> {
  const results = new Map<string, autocannon.Result[]>()
  for (let round = 0; round <= rounds; round++) {
    for (const [name, target] of Object.entries(targets)) {
      const result = await fire(target, connections, seconds)
      // The first round warms up.
      if (round > 0) results.set(name, [...(results.get(name) ?? []), result])
    }
  }
  const rate = (name: string) => median((results.get(name) ?? []).map((result) => result.requests.average))
  const p99 = (name: string) => median((results.get(name) ?? []).map((result) => result.latency.p99))
  console.log(`\n${connections} connections, ${rounds} rounds of ${seconds} s in turns; medians`)
  for (const name of Object.keys(targets)) {
    const ratio = rate(name) / rate('a bare INSERT')
    console.log(`${name.padEnd(24)} ${rate(name).toFixed(0).padStart(6)}/s  p99 ${p99(name).toFixed(0).padStart(4)} ms  ratio ${ratio.toFixed(2)}`)
  }
}

async function fire({ url, key }: Target, count: number, duration: number, expected: number[] = []): Promise<autocannon.Result> {
  const headers = { 'content-type': 'application/json', ...(key === undefined ? {} : { authorization: `Bearer ${key}` }) }
  const result = await autocannon({ url, method: 'POST', headers, body: BODY, connections: count, duration })
  const refused = expected.reduce((sum, status) => sum + (result.statusCodeStats?.[`${status}`]?.count ?? 0), 0)
  if (result.non2xx - refused + result.errors > 0) throw new Error(`${url}: ${result.non2xx} answers were no success, ${result.errors} failed`)
  return result
}

/** Begins to make noise; what it returns ends that. */
type Noise = () => () => Promise<unknown>

/** Jobs on 100 connections. */
function noise(target: Target): Noise {
  return () => {
    const over = fire(target, 100, seconds + 1, [429])
    return () => over
  }
}

/** How quickly a quiet account's submits are answered beside each of these. */
async function comparePaces(quiet: Target, neighbours: Record<string, Noise>): Promise<void> {
  const paces = new Map<string, { medianMs: number; slowestMs: number }[]>()
  for (let round = 0; round <= rounds; round++) {
    for (const [name, begin] of Object.entries(neighbours)) {
      const end = begin()
      const pace = await paceOf(quiet)
      await end()
      if (round > 0) paces.set(name, [...(paces.get(name) ?? []), pace])
    }
  }
  console.log(`\na quiet account submits one job after the other, medians of ${rounds} rounds of ${seconds} s; beside it:`)
  const alone = median((paces.get('nobody') ?? []).map(({ medianMs }) => medianMs))
  for (const [name, measured] of paces) {
    const each = median(measured.map(({ medianMs }) => medianMs))
    const slowest = median(measured.map(({ slowestMs }) => slowestMs))
    console.log(`${name.padEnd(55)} ${each.toFixed(1).padStart(5)} ms each  ratio ${(each / alone).toFixed(2)}  slowest ${slowest.toFixed(0).padStart(4)} ms`)
  }
}

/** The median milliseconds of submits one after the other, and the most. */
async function paceOf({ url, key }: Target): Promise<{ medianMs: number; slowestMs: number }> {
  const times: number[] = []
  const endMs = performance.now() + seconds * 1000
  while (performance.now() < endMs) {
    const beganMs = performance.now()
    const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` }, body: BODY })
    await response.arrayBuffer()
    if (response.status !== 201) throw new Error(`a submit was answered ${response.status}`)
    times.push(performance.now() - beganMs)
  }
  return { medianMs: median(times), slowestMs: Math.max(...times) }
}
