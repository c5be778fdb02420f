import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import { pino } from 'pino'
import { sql } from 'slonik'
import { JobDetail } from '#core/api.ts'
import type { Service } from '#core/service/run.ts'
import { sleep, withDeadline } from '#core/service/time.ts'
import { createApiKey } from '#store/bootstrap.ts'
import type { ClaimedJob } from '#store/claims.ts'
import { changeLimits } from '#store/limits.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createRelay } from '../../../scheduler/relay.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { startLeader } from '../../harness/leader.ts'
import { end, line, publishLog } from '../../harness/log-writer.ts'
import { forgetMachines, seedCell, seedMachine, seedScaling } from '../../harness/machines.ts'
import { type CommandResult, runCommand } from '../../harness/platform.ts'

const RGRID = join(import.meta.dirname, '../../../cli/rgrid')
const BY_HAND = 'it starts when a machine is set up or comes back (operators: rgrid nodes); end it: rgrid cancel'
let gateway: TestGateway
let leader: Service
let scheduler: DatabasePool
let relay: ReturnType<typeof createRelay>
let cwd: string
let env: Record<string, string>

before(async () => {
  gateway = await startGateway()
  leader = await startLeader(gateway.schedulerUrl)
  scheduler = await createDbPool(gateway.schedulerUrl, 2)
  // Who follows a batch hears of its events.
  relay = createRelay(scheduler, gateway.bus, pino({ level: 'silent' }), () => true)
  await relay.start()
  cwd = mkdtempSync(join(tmpdir(), 'rgrid-wait-'))
  mkdirSync(join(cwd, 'in'))
  mkdirSync(join(cwd, '.rgrid'))
  for (const name of ['a.txt', 'b.txt']) writeFileSync(join(cwd, 'in', name), `${name}\n`)
  writeFileSync(join(cwd, 'job.sh'), 'echo hello\n')
  writeFileSync(join(cwd, '.rgrid', 'config.yaml'), 'project: default\n')
  env = { HOME: cwd, RGRID_API_URL: await gateway.listen(), RGRID_API_KEY: gateway.key, NO_COLOR: '1' }
})
after(async () => {
  await relay.stop()
  await Promise.all([leader.stop(), scheduler.end()])
  await gateway.stop()
  rmSync(cwd, { recursive: true, force: true })
})
afterEach(async () => {
  await forgetMachines(gateway.admin)
  await changeLimits(gateway.admin, { accountId: gateway.factory.accountId, projectId: null }, { runningJobs: null })
})

/** What is done when a text is on stderr, one after the other. */
type Step = [heard: RegExp, act: (kill: (signal: NodeJS.Signals) => void) => Promise<unknown>]

/** Runs `rgrid` in a pipe, and takes the steps as what it says comes to them. */
async function rgrid(args: string[], steps: Step[], change: Record<string, string> = {}): Promise<CommandResult> {
  let heard = ''
  let next = 0
  let doing: Promise<unknown> = Promise.resolve()
  const result = await runCommand(RGRID, args, {
    cwd,
    env: { ...env, ...change },
    onChunk(text, kill) {
      heard += text
      const [wanted, act] = steps[next] ?? []
      if (!act || !wanted?.test(heard)) return
      heard = ''
      next++
      doing = doing.then(() => act(kill))
    },
  })
  await doing
  assert.equal(next, steps.length, `it did not come to ${steps[next]?.[0]}: ${result.stderr}`)
  return result
}

/** What nodes do with the first jobs of the queue: one each, which writes a line, and is done; and then they are gone. */
async function runNext(...texts: string[]): Promise<void> {
  const nodes = await Promise.all(texts.map(() => gateway.factory.node()))
  await changeLimits(gateway.admin, { accountId: gateway.factory.accountId, projectId: null }, { runningJobs: null })
  // All are taken before the first ends: none is to wait for another reason meanwhile.
  const jobs: ClaimedJob[] = []
  for (const node of nodes) jobs.push(...(await gateway.attempts.claim(node)))
  assert.equal(jobs.length, texts.length)
  for (const [index, job] of jobs.entries()) {
    await publishLog(gateway.bus, job, [line(1, texts[index]), end(2)])
    await gateway.attempts.finish(job, { logSeq: 2 })
  }
  await forgetMachines(gateway.admin)
}

test('run in a pipe says each reason once while the job waits, then its output follows', async () => {
  const { admin, factory } = gateway
  const account = { accountId: factory.accountId, projectId: null }
  let boots = ''
  const result = await rgrid(
    ['run', 'job.sh'],
    [
      [
        /no machine that could take it/,
        async () => {
          await seedScaling(admin, { bootSeconds: 100 })
          await seedCell(admin)
          boots = await seedMachine(admin, { state: 'booting', createdAgo: 5, billedAgo: 5 })
        },
      ],
      [
        /is booting/,
        async () => {
          await admin.query(sql.unsafe`update nodes set state = 'failed', ended_at = now() where id = ${boots}`)
          await seedScaling(admin, { shortage: 'limit', detail: 'server limit \u001b[2J reached', pausedFor: 600 })
        },
      ],
      [/may have no more machines/, () => changeLimits(admin, account, { runningJobs: 0 })],
      [/may run 0 at once/, () => runNext('hello\n')],
    ],
  )
  assert.deepEqual([result.code, result.stdout], [0, 'hello\n'], result.stderr)
  const id = /job_\w+/.exec(result.stderr)?.[0] ?? ''
  assert.deepEqual(
    result.stderr.replaceAll(/about \d+ (s|min)/g, 'about N').split('\n'),
    [
      `rgrid: ${id}: waiting: there is no machine that could take it; ${BY_HAND} ${id}`,
      `rgrid: ${id}: waiting: a machine is booting (cx23 in fsn1), ready in about N`,
      `rgrid: ${id}: waiting: the account at hetzner may have no more machines: server limit \\x1b[2J reached, tried again in about N; it starts when a machine has room, or hetzner allows more`,
      `rgrid: ${id}: waiting, as the account may run 0 at once: 0 ahead; it starts when the limit is raised; end it: rgrid cancel ${id}`,
      '',
    ],
    result.stderr,
  )
})

test('stdout of --json and of logs -f stays what it is; a job that is held says until when', async () => {
  const json = await rgrid(['run', '--json', 'job.sh'], [[/no machine that could take it/, () => runNext('hello\n')]])
  const document: unknown = JSON.parse(json.stdout)
  assert.ok(json.code === 0 && Value.Check(JobDetail, document) && document.state === 'succeeded', json.stderr)
  const body = { spec: { runtime: 'bash', command: ['true'], notBefore: '2099-01-01T00:00:00Z' } }
  const { id } = (await gateway.call('POST', '/v1/projects/default/jobs', body)).json<{ id: string }>()
  const held = await rgrid(['logs', '-f', '--json', id], [[/held: not before/, () => gateway.call('POST', `/v1/jobs/${id}/cancel`)]])
  assert.deepEqual([held.code, held.stdout], [130, ''])
  assert.match(held.stderr, new RegExp(`^rgrid: ${id}: held: not before 2099-01-01T00:00:00.000Z\n${id} was cancelled\n`))
})

for (const [what, args] of [
  ['run --batch', ['run', 'job.sh', '--batch', 'in/*.txt', '--remote-only']],
  ['run --batch --json', ['run', 'job.sh', '--batch', 'in/*.txt', '--remote-only', '--json']],
] as const) {
  test(`${what} says for all of it why nothing runs`, async () => {
    const result = await rgrid([...args], [[/no machine that could take it/, () => runNext('a\n', 'b\n')]])
    assert.equal(result.code, 0, result.stderr)
    const id = /batch_\w+/.exec(result.stderr)?.[0] ?? ''
    const said = result.stderr.split('\n').filter((text) => text.startsWith('rgrid: '))
    assert.deepEqual(said, [`rgrid: ${id}: 2 jobs, such as a: waiting: there is no machine that could take it; ${BY_HAND} ${id}`])
    assert.deepEqual(
      result.stdout.split('\n').flatMap((text) => (text === '' ? [] : [(JSON.parse(text) as { name: string }).name])),
      what.endsWith('--json') ? ['a', 'b'] : [],
    )
  })
}

test('logs -f --batch says it beside the logs', async () => {
  const batch = await gateway.factory.batch({ size: 2 })
  for (let i = 0; i < 2; i++) await gateway.factory.job({ batchId: batch, batchIndex: i })
  const result = await rgrid(['logs', '-f', '--batch', batch], [[/no machine that could take it/, () => runNext('a\n', 'b\n')]])
  assert.deepEqual(result.stdout.split('\n').sort(), ['', 'item 0 | a', 'item 1 | b'])
  assert.match(result.stderr, new RegExp(`^rgrid: ${batch}: 2 jobs, such as item 0: waiting: there is no machine`))
})

test('Ctrl-C while it waits detaches as ever, and cancels where that was asked for', async () => {
  const detached = await rgrid(['run', 'job.sh'], [[/no machine that could take it/, async (kill) => kill('SIGINT')]])
  assert.deepEqual([detached.code, detached.stdout], [130, ''])
  assert.match(detached.stderr, /\ndetached; job_\w+ goes on\. /)
  await runNext('hello\n')
  const cancelled = await rgrid(['run', '--cancel-on-interrupt', 'job.sh'], [[/no machine that could take it/, async (kill) => kill('SIGINT')]])
  assert.equal(cancelled.code, 130)
  assert.match(cancelled.stderr, /\ncancelling job_\w+ …\njob_\w+ was cancelled\n/)
})

test('a key that may not read jobs is told nothing, asks once, and gets its output all the same', async () => {
  const scopes = ['jobs:write', 'files:write', 'logs:read', 'files:read']
  const key = await createApiKey(gateway.admin, gateway.factory.projectId, 'runner', scopes)
  const from = gateway.logged.length
  const asked = () => gateway.logged.slice(from).filter((text) => text.includes('/explain'))
  const refused = withDeadline('it asks why', 30_000, async (signal) => {
    while (asked().length === 0) await sleep(50, signal)
    return runNext('hello\n')
  })
  const result = await rgrid(['run', 'job.sh', '--remote-only'], [], { RGRID_API_KEY: key })
  await refused
  assert.deepEqual([result.code, result.stdout, result.stderr], [0, 'hello\n', ''])
  assert.equal(asked().length, 1, asked().join(''))
  assert.match(asked()[0] ?? '', /403/)
})
