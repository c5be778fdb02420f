import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createApiKey } from '#store/bootstrap.ts'
import { createDbPool } from '#store/pool.ts'
import { closeHours } from '../../../scheduler/cost/closer.ts'
import { HOUR_MS } from '../../../scheduler/cost/paid-hour.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { createPaidNodes, type PaidNodes } from '../../harness/paid-nodes.ts'
import { runCommand } from '../../harness/platform.ts'

const RGRID = join(import.meta.dirname, '../../../cli/rgrid')
const NOON_MS = Date.parse(`${new Date(Date.now() - 48 * HOUR_MS).toISOString().slice(0, 10)}T12:00:00Z`)
const DAY = new Date(NOON_MS).toISOString().slice(0, 10)

let gateway: TestGateway
let paid: PaidNodes
let cwd: string
let env: Record<string, string>

before(async () => {
  gateway = await startGateway()
  paid = createPaidNodes(gateway.admin, gateway.factory)
  cwd = mkdtempSync(join(tmpdir(), 'rgrid-cost-'))
  mkdirSync(join(cwd, 'inputs'))
  for (const name of ['a.csv', 'b.csv']) writeFileSync(join(cwd, 'inputs', name), '1\n')
  writeFileSync(join(cwd, 'process.py'), 'print(1)\n')
  env = { HOME: cwd, RGRID_API_URL: await gateway.listen(), RGRID_API_KEY: gateway.key }
})
after(async () => {
  await gateway.stop()
  rmSync(cwd, { recursive: true })
})

const rgrid = (...args: string[]) => runCommand(RGRID, args, { cwd, env })
async function good(...args: string[]) {
  const result = await rgrid(...args)
  assert.equal(result.code, 0, result.stderr)
  return result
}
const cells = (text: string) =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => line.split(/ {2,}/))

/** The document that `rgrid run` would submit, submitted and run for so long. */
async function ran(seconds: number, ...args: string[]): Promise<void> {
  const { stdout } = await good('run', '--dry-run', ...args)
  const document = JSON.parse(stdout)
  delete document.spec.files
  const { id } = (await gateway.call('POST', '/v1/projects/default/jobs', document)).json()
  await paid.attempt(await paid.node(NOON_MS, NOON_MS + HOUR_MS), NOON_MS, NOON_MS + seconds * 1000, { jobId: id, charge: 5000 })
}

test('estimate says what nothing is known of, and then what it knows; it finds the jobs that run made', async () => {
  const first = await good('estimate', 'process.py', 'inputs/a.csv')
  assert.match(first.stderr, /nothing like it has succeeded in this project yet/)
  assert.deepEqual(cells(first.stdout), [
    ['', 'MEDIAN', '9 IN 10 BELOW'],
    ['reserved', '0.006014 EUR'],
  ])
  for (const seconds of [60, 120, 180]) await ran(seconds, 'process.py', 'inputs/a.csv', '--env', `N=${seconds}`)
  const known = await good('estimate', '--timeout', '10m', 'process.py', 'inputs/b.csv', '--', '--verbose')
  assert.match(known.stderr, /by the last 3 jobs with this script: few, so take it as a hint/)
  assert.deepEqual(cells(known.stdout).slice(1, 3), [
    ['time', '2 min 0 s', '2 min 48 s'],
    ['charge', '0.000160 EUR', '0.000224 EUR'],
  ])
  const all = JSON.parse((await good('estimate', 'process.py', '--batch', 'inputs/*.csv', '--json')).stdout)
  assert.deepEqual([all.basis, all.n, all.jobs, all.chargeMicrons], ['script', 3, 2, { median: 320, p90: 448 }])
  writeFileSync(join(cwd, 'other.py'), 'print(2)\n')
  assert.match((await good('estimate', 'other.py')).stderr, /by the last 3 jobs with this runtime, as none with this script/)
})

test('cost shows days, jobs and labels, with the total; --nodes what was idle', async () => {
  const db = await createDbPool(gateway.schedulerUrl, 2)
  await closeHours(db, new AbortController().signal)
  await db.end()
  const days = await good('cost', '--since', DAY)
  assert.deepEqual(cells(days.stdout), [
    ['DAY', 'NAME', 'ATTEMPTS', 'SLOT TIME', 'COST', 'CHARGE'],
    [DAY, '-', '3', '6 min 0 s', '0.000480 EUR', '0.01 EUR'],
    ['total', '3', '6 min 0 s', '0.000480 EUR', '0.01 EUR'],
  ])
  assert.equal(days.stderr, '')
  const jobs = await good('cost', '--by', 'job', '--since', '7d', '--limit', '2')
  assert.equal(cells(jobs.stdout).length, 4)
  assert.match(jobs.stderr, /1 more are in the total/)
  assert.match((await good('cost', '--by', 'label:team', '--since', DAY)).stdout, /^TEAM .*\n- /)
  const report = JSON.parse((await good('cost', '--by', 'job', '--since', DAY, '--json')).stdout)
  assert.deepEqual([report.total.costMicrons, report.items[0].name], [480, 'process.py'])
  const nodes = await good('cost', '--nodes', '--by', 'type', '--since', DAY)
  assert.deepEqual(cells(nodes.stdout)[1], ['test cx23 nbg1', '3', '0.03 EUR', '0.000480 EUR', '0.03 EUR', '98.3 %'])
})

test('what is running is marked as provisional', async () => {
  const startMs = Date.now() - 60_000
  await paid.attempt(await paid.node(startMs, null), startMs, null)
  const { stdout, stderr } = await good('cost', '--since', new Date(startMs).toISOString())
  assert.match(stdout, /total .* EUR \* /)
  assert.match(stderr, /this may still change/)
})

test('wrong usage is 2 and says what to say; a key that may not is 4', async () => {
  for (const [args, message] of [
    [['cost', '--by', 'colour'], /say day, batch, job or label:KEY/],
    [['cost', '--nodes', '--by', 'job'], /"job" is not known with --nodes; say day, node or type/],
    [['cost', '--since', 'soon'], /--since: "soon" is no time/],
    [['cost', 'job_1'], /takes no argument/],
    [['cost', '--since', '2026-02-02', '--until', '2026-02-01'], /since: is after until/],
    [['estimate'], /name a script/],
    [['estimate', 'process.py', '--cpu', '0'], /spec.resources.cpu/],
    [['estimate', 'process.py', '--detach'], /rgrid estimate has no option/],
  ] as const) {
    const { code, stderr } = await rgrid(...args)
    assert.equal(code, 2, `${args.join(' ')}: ${stderr}`)
    assert.match(stderr, message)
  }
  env = { ...env, RGRID_API_KEY: await createApiKey(gateway.admin, gateway.factory.projectId, 'reader', ['usage:read']) }
  assert.equal((await rgrid('cost')).code, 0)
  const nodes = await rgrid('cost', '--nodes')
  assert.equal(nodes.code, 4)
  assert.match(nodes.stderr, /only operators may do this/)
})
