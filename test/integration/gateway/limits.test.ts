import assert from 'node:assert/strict'
import { after, before, beforeEach, test } from 'node:test'
import { sql } from 'slonik'
import type { LimitsView } from '#core/limit-api.ts'
import { worstCase } from '#core/money.ts'
import { createApiKey } from '#store/bootstrap.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { rollUpUsage } from '#store/usage.ts'
import { SUCCESS } from '../../harness/attempts.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { startLeader } from '../../harness/leader.ts'
import { makeTenant } from '../../harness/tenants.ts'

const SPEC = { runtime: 'bash', command: ['true'], timeoutSeconds: 100, prepareTimeoutSeconds: 100, gracePeriodSeconds: 0 }
const PRICE = 3_600_000
/** Of one such job: 500 s of one slot at 1,000 microns a second. */
const WORST = worstCase({ slots: 1, timeoutSeconds: 100, prepareTimeoutSeconds: 100, gracePeriodSeconds: 0, retries: 0 }, PRICE).jobMicrons

let gateway: TestGateway
let scheduler: DatabasePool
before(async () => {
  gateway = await startGateway({ slotHourMicrons: PRICE })
  scheduler = await createDbPool(gateway.schedulerUrl, 2)
})
after(async () => {
  await scheduler.end()
  await gateway.stop()
})

/** A project of an account of its own, with a key, and limits. */
async function tenant(account: object = {}, project: object = {}) {
  const made = await makeTenant(gateway.admin)
  const key = await createApiKey(gateway.admin, made.projectId, 'key')
  const slug = made.projectId.slice(5).replaceAll('_', '-')
  const call = (method: 'GET' | 'POST' | 'PATCH', path: string, payload?: object) =>
    gateway.app.inject({ method, url: `/v1/projects/${slug}${path}`, headers: { authorization: `Bearer ${key}` }, ...(payload ? { payload } : {}) })
  const set = async (change: object) => {
    const answer = await gateway.call('PATCH', `/v1/accounts/${made.accountId}/limits`, change)
    assert.equal(answer.statusCode, 200, answer.body)
  }
  if (Object.keys(account).length > 0) await set(account)
  if (Object.keys(project).length > 0) assert.equal((await call('PATCH', '/limits', project)).statusCode, 200)
  const submit = (spec: object = {}) => call('POST', '/jobs', { spec: { ...SPEC, ...spec } })
  const usage = async () => (await call('GET', '/limits')).json<LimitsView>().usage
  return { ...made, key, slug, call, submit, usage }
}

beforeEach(() =>
  gateway.admin.query(
    sql.unsafe`update jobs set state = 'cancelled', cause = 'cancelled', reason = null, hold = null, hold_until = null, finished_at = now() where finished_at is null and state <> 'running'`,
  ),
)

test('a thousand submits at once never reserve more than a month may cost', async () => {
  const { submit, usage } = await tenant({ monthMicrons: 37 * WORST + 1 })
  const answers = await Promise.all(Array.from({ length: 1000 }, () => submit()))
  const taken = answers.filter((answer) => answer.statusCode === 201).length
  assert.equal(taken, 37)
  const refused = answers.find((answer) => answer.statusCode !== 201)
  assert.equal(refused?.statusCode, 429)
  assert.equal(refused?.json().code, 'limit_exceeded')
  assert.ok(Number(refused?.headers['retry-after']) > 0)
  assert.equal((await usage()).account.reservedMicrons, 37 * WORST)
})

test('what a job did not use comes back when it ends, and what it used is spent', async () => {
  const { submit, usage } = await tenant({ monthMicrons: WORST })
  const { id } = (await submit()).json<{ id: string }>()
  assert.equal((await submit()).statusCode, 429)
  const job = await gateway.attempts.assign(id)
  await gateway.admin.query(sql.unsafe`update attempts set assigned_at = now() - interval '10 seconds' where job_id = ${id}`)
  await gateway.attempts.finish(job, SUCCESS)
  const { spentMicrons, reservedMicrons, openJobs } = (await usage()).account
  assert.equal(reservedMicrons, 0)
  assert.equal(openJobs, 0)
  assert.ok(spentMicrons >= 10_000 && spentMicrons < 20_000, `${spentMicrons}`)
  assert.equal((await submit()).statusCode, 429)
})

test('a job is never charged more than was reserved, and nobody pays for a lost machine', async () => {
  const { submit, usage } = await tenant({ monthMicrons: WORST })
  const { id } = (await submit()).json<{ id: string }>()
  const lost = await gateway.attempts.assign(id)
  await gateway.admin.query(sql.unsafe`update attempts set assigned_at = now() - interval '1 day' where job_id = ${id}`)
  await gateway.attempts.finish(lost, { ...SUCCESS, cause: 'lost', exitCode: null, transient: true })
  assert.deepEqual([(await usage()).account.spentMicrons, (await usage()).account.reservedMicrons], [0, WORST])
  await gateway.admin.query(
    sql.unsafe`update jobs set state = 'queued', hold = null, hold_until = null, reason = 'waiting for a slot' where id = ${id} and state = 'held'`,
  )
  const late = await gateway.attempts.assign(id)
  await gateway.admin.query(sql.unsafe`update attempts set assigned_at = now() - interval '1 day' where job_id = ${id} and finished_at is null`)
  await gateway.attempts.finish(late, SUCCESS)
  assert.deepEqual([(await usage()).account.spentMicrons, (await usage()).account.reservedMicrons], [WORST, 0])
})

test('open jobs are held to their number, batches as a whole, and ends make room', async () => {
  const { call, submit, usage } = await tenant({}, { openJobs: 5 })
  const batch = (items: number) => call('POST', '/batches', { template: SPEC, items: Array.from({ length: items }, () => ({})) })
  assert.equal((await batch(6)).statusCode, 429)
  assert.equal((await usage()).project.openJobs, 0)
  const { id } = (await batch(4)).json<{ id: string }>()
  assert.equal((await submit()).statusCode, 201)
  const full = await submit()
  assert.equal(full.statusCode, 429)
  assert.match(full.json().detail, /the project may have 5 jobs that have not ended; it has 5/)
  await gateway.admin.query(sql.unsafe`
    update jobs set state = 'cancelled', cause = 'cancelled', reason = null, finished_at = now() where batch_id = ${id}`)
  assert.equal((await submit()).statusCode, 201)
  assert.equal((await usage()).project.openJobs, 2)
})

test('a job that waits for others of its account, or project, says so', async (t) => {
  const { call, submit, accountId } = await tenant({ runningJobs: 1 })
  const first = (await submit()).json<{ id: string }>()
  const running = await gateway.attempts.assign(first.id)
  const leader = await startLeader(gateway.schedulerUrl)
  t.after(() => leader.stop())
  const { id } = (await submit()).json<{ id: string }>()
  const reason = async () => (await call('GET', '/jobs')).json<{ items: { id: string; reason: string }[] }>().items.find((job) => job.id === id)?.reason
  assert.equal(await reason(), 'waiting, as the account may run 1 at once: 0 ahead')
  await gateway.call('PATCH', `/v1/accounts/${accountId}/limits`, { runningJobs: null })
  assert.equal(await reason(), 'waiting for a slot: 0 ahead')
  assert.equal((await call('PATCH', '/limits', { runningJobs: 1 })).statusCode, 200)
  assert.equal(await reason(), 'waiting, as the project may run 1 at once: 0 ahead')
  await gateway.attempts.finish(running)
  assert.equal(await reason(), 'waiting for a slot: 0 ahead')
})

test('adding up what was used changes nothing of what is seen', async () => {
  const { submit, usage } = await tenant()
  for (let i = 0; i < 3; i++) await submit()
  const before = await usage()
  assert.equal(before.account.openJobs, 3)
  assert.ok((await rollUpUsage(scheduler)) > 0)
  assert.equal(await rollUpUsage(scheduler), 0)
  assert.deepEqual(await usage(), before)
})

test('a job that is too large is 422 with the field and what may be', async () => {
  const { submit, call } = await tenant({ jobCpuMillis: 2000, jobTimeoutSeconds: 600 }, { jobMemoryBytes: 2 ** 30, batchItems: 2 })
  for (const [spec, path] of [
    [{ resources: { cpu: 3 } }, 'spec.resources.cpu'],
    [{ resources: { memory: '2Gi' } }, 'spec.resources.memory'],
    [{ timeoutSeconds: 601 }, 'spec.timeoutSeconds'],
  ] as const) {
    const answer = await submit(spec)
    assert.equal(answer.statusCode, 422)
    assert.deepEqual(
      answer.json().errors.map((issue: { path: string }) => issue.path),
      [path],
    )
  }
  const batch = await call('POST', '/batches', { template: { ...SPEC, resources: { cpu: 4 } }, items: [{}] })
  assert.equal(batch.json().errors[0].path, 'template.resources.cpu')
  assert.match((await call('POST', '/batches', { template: SPEC, items: [{}, {}, {}] })).json().detail, /at most 2 in one batch/)
  assert.equal((await submit({ resources: { cpu: 2, memory: '1Gi' }, timeoutSeconds: 600 })).statusCode, 201)
})

test('a hundred uploads that are announced at once never promise more than may be kept, and what did not come in time counts no more', async () => {
  const { call, projectId } = await tenant({ storageBytes: 1000 })
  const announce = (i: number) => call('POST', '/files', { sha256: String(i).padStart(64, '0'), sizeBytes: 100 })
  const codes = (await Promise.all(Array.from({ length: 100 }, (_, i) => announce(i)))).map((answer) => answer.statusCode)
  assert.deepEqual([codes.filter((code) => code === 201).length, codes.filter((code) => code === 429).length], [10, 90])
  const [taken] = codes.map((code, i) => [code, i] as const).filter(([code]) => code === 201)
  assert.equal((await announce(taken?.[1] ?? 0)).statusCode, 201, 'the same one again is no other one')
  await gateway.admin.query(sql.unsafe`update files set announced_at = now() - interval '601 seconds' where project_id = ${projectId}`)
  assert.equal((await announce(200)).statusCode, 201)
})

test('uploads stop where storage is full, and say so', async () => {
  const { call, usage, accountId, projectId } = await tenant({ storageBytes: 1000 })
  const announce = (sha: string, sizeBytes: number) => call('POST', '/files', { sha256: sha.repeat(64), sizeBytes })
  assert.equal((await announce('a', 1001)).statusCode, 429)
  assert.equal((await announce('b', 1000)).statusCode, 201)
  await gateway.admin.query(sql.unsafe`update files set state = 'ready' where project_id = ${projectId}`)
  assert.equal((await usage()).account.storageBytes, 1000)
  const full = await announce('c', 1)
  assert.match(full.json().detail, /may keep 1000 bytes; it keeps 1000/)
  await gateway.admin.query(sql.unsafe`delete from files where account_id = ${accountId} and state = 'ready'`)
  assert.equal((await announce('c', 1)).statusCode, 201)
})

test('while storage is full nothing is submitted: single, with a key, as a batch or a stream; what runs keeps its outputs', async () => {
  for (const [account, project, whose] of [
    [{ storageBytes: 1000 }, {}, 'account'],
    [{ openJobs: 100 }, { storageBytes: 1000 }, 'project'],
  ] as const) {
    const { call, submit, usage, key, slug, accountId } = await tenant(account, project)
    const post = (path: string, payload: object | string, headers: Record<string, string> = {}) =>
      gateway.app.inject({ method: 'POST', url: `/v1/projects/${slug}${path}`, headers: { authorization: `Bearer ${key}`, ...headers }, payload })
    const ways = {
      single: () => submit(),
      named: () => post('/jobs', { spec: SPEC }, { 'idempotency-key': 'the-same' }),
      batch: () => call('POST', '/batches', { template: SPEC, items: [{}] }),
      stream: () => post('/batches', `${JSON.stringify({ template: SPEC })}\n{}\n`, { 'content-type': 'application/x-ndjson' }),
    }
    const done = await ways.named()
    const running = await gateway.attempts.assign(done.json<{ id: string }>().id)
    const artifacts = [{ path: 'a.txt', sizeBytes: 1500, sha256: 'a'.repeat(64), executable: false }]
    await gateway.attempts.finish(running, { ...SUCCESS, artifacts })
    const before = await usage()
    assert.equal(before[whose].storageBytes, 1500, 'outputs beyond the limit are kept')
    for (const [way, send] of Object.entries(ways)) {
      const answer = await send()
      if (way === 'named') {
        assert.deepEqual([answer.statusCode, answer.body], [201, done.body], 'what was done before is answered as before')
        continue
      }
      assert.deepEqual([answer.statusCode, answer.json().code, answer.headers['retry-after']], [429, 'limit_exceeded', '300'], way)
      assert.match(answer.json().detail, new RegExp(`the ${whose} may keep 1000 bytes; it keeps 1500.*artifactsDays.*limit`), way)
    }
    assert.equal((await post('/jobs', { spec: SPEC }, { 'idempotency-key': 'another' })).statusCode, 429)
    assert.deepEqual(await usage(), before)
    await gateway.admin.query(sql.unsafe`update artifacts set expired_at = now() where account_id = ${accountId}`)
    for (const [way, send] of Object.entries(ways)) assert.equal((await send()).statusCode, 201, way)
  }
})

test('requests per second: beyond them 429 with Retry-After, headers that say how it stands, and others are not touched', async () => {
  const { call } = await tenant({ requestsPerSecond: 50 }, { requestsPerSecond: 5 })
  const other = await tenant()
  const startedMs = performance.now()
  const answers = await Promise.all(Array.from({ length: 40 }, () => call('GET', '/jobs')))
  const seconds = (performance.now() - startedMs) / 1000
  const refused = answers.filter((answer) => answer.statusCode === 429)
  const taken = answers.filter((answer) => answer.statusCode === 200).length
  assert.equal(taken + refused.length, 40)
  assert.ok(taken >= 5 && taken <= 5 + 5 * seconds, `${taken} in ${seconds} s`)
  assert.equal(refused[0]?.headers['retry-after'], '1')
  assert.equal(refused[0]?.headers['ratelimit-policy'], '"account";q=50;w=1, "project";q=5;w=1')
  assert.match(String(answers[0]?.headers.ratelimit), /^"account";r=\d+;t=\d+, "project";r=\d+;t=\d+$/)
  assert.equal((await other.call('GET', '/jobs')).statusCode, 200)
  assert.equal((await other.call('GET', '/jobs')).headers.ratelimit, undefined)
})

test('limits by default hold for accounts that say nothing else; only operators change an account’s', async () => {
  const { call, accountId } = await tenant()
  await gateway.call('PATCH', '/v1/accounts/default/limits', { batchItems: 7 })
  assert.equal((await call('GET', '/limits')).json<LimitsView>().limits.account.batchItems, 7)
  await gateway.call('PATCH', `/v1/accounts/${accountId}/limits`, { batchItems: 9, weight: 2 })
  const view = (await call('GET', '/limits')).json<LimitsView>()
  assert.deepEqual([view.limits.account.batchItems, view.weight], [9, 2])
  await gateway.call('PATCH', `/v1/accounts/${accountId}/limits`, { batchItems: null })
  assert.equal((await call('GET', '/limits')).json<LimitsView>().limits.account.batchItems, null, 'no limit, whatever holds for others')
  await gateway.call('PATCH', `/v1/accounts/${accountId}/limits`, { batchItems: 'default' })
  assert.equal((await call('GET', '/limits')).json<LimitsView>().limits.account.batchItems, 7)
  await gateway.call('PATCH', '/v1/accounts/default/limits', { batchItems: null })
  const own = await createApiKey(gateway.admin, gateway.factory.projectId, 'no operator', ['*'])
  assert.equal(
    (await gateway.app.inject({ method: 'PATCH', url: `/v1/accounts/${accountId}/limits`, headers: { 'x-rgrid-key': own }, payload: { openJobs: 1 } }))
      .statusCode,
    403,
  )
  assert.equal((await call('PATCH', '/limits', { weight: 5 })).statusCode, 422)
})
