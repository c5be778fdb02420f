import assert from 'node:assert/strict'
import { after, afterEach, before, test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import { sql } from 'slonik'
import type { JobPage, JobView } from '#core/api.ts'
import { CAPACITY_SHORTAGES, Explanation, REASON_CODES, type ReasonCode, type ReasonOf } from '#core/explain.ts'
import type { Spec } from '#core/job/spec.ts'
import type { Service } from '#core/service/run.ts'
import { cordonNode } from '#store/cordons.ts'
import { releaseBatchHolds } from '#store/holds.ts'
import { changeLimits } from '#store/limits.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { startLeader } from '../../harness/leader.ts'
import { forgetMachines, seedCell, seedMachine, seedScaling } from '../../harness/machines.ts'
import { makeTenant, queueJobs } from '../../harness/tenants.ts'

const GI = 2 ** 30
let gateway: TestGateway
let leader: Service
const seen = new Set<ReasonCode>()

before(async () => {
  gateway = await startGateway()
  leader = await startLeader(gateway.schedulerUrl)
})
after(async () => {
  await leader.stop()
  await gateway.stop()
})
afterEach(async () => {
  await forgetMachines(gateway.admin)
  await gateway.admin.query(sql.unsafe`
    update attempts set state = 'cancelled', cause = 'cancelled', finished_at = now() where finished_at is null`)
  await gateway.admin.query(sql.unsafe`
    update jobs set state = 'cancelled', cause = 'cancelled', hold = null, hold_until = null, queue_until = null, finished_at = now() where finished_at is null`)
})

/** Explains it, and checks that the job itself says the same. */
async function explain(jobId: string): Promise<Explanation> {
  const answer = await gateway.call('GET', `/v1/jobs/${jobId}/explain`)
  assert.equal(answer.statusCode, 200, answer.body)
  const explanation: unknown = answer.json()
  assert.ok(Value.Check(Explanation, explanation), answer.body)
  const job = (await gateway.call('GET', `/v1/jobs/${jobId}`)).json<JobView>()
  // A moment later.
  const timeless = (text: string | null | undefined) => text?.replaceAll(/\d+ s\b/g, 'N s') ?? null
  assert.equal(timeless(job.reason), timeless(explanation.code === 'final' ? null : explanation.message))
  const listed = (await gateway.call('GET', '/v1/projects/default/jobs?limit=200')).json<JobPage>().items.find(({ id }) => id === jobId)
  assert.equal(timeless(listed?.reason), timeless(job.reason))
  seen.add(explanation.code)
  return explanation
}

type Told<Code extends ReasonCode> = ReasonOf<Code>['details'] & { message: string }

async function reason<Code extends ReasonCode>(jobId: string, code: Code): Promise<Told<Code>> {
  const explanation = await explain(jobId)
  assert.equal(explanation.code, code, JSON.stringify(explanation))
  return { ...explanation.details, message: explanation.message } as unknown as Told<Code>
}

const queued = (spec: Partial<Spec> = {}) => gateway.factory.job({ spec })
const secondsTo = (time: string) => (Date.parse(time) - Date.now()) / 1000

test('no machine at all, set up by hand or to be bought', async () => {
  const job = await queued()
  assert.deepEqual(await reason(job, 'no_nodes'), { provider: null, lost: 0, leaving: 0, message: 'waiting: there is no machine that could take it' })
  await seedScaling(gateway.admin, {})
  await seedCell(gateway.admin)
  await seedMachine(gateway.admin, { state: 'lost' })
  await seedMachine(gateway.admin, { state: 'draining', drained: 'by the planner' })
  assert.deepEqual(await reason(job, 'no_nodes'), {
    provider: 'hetzner',
    lost: 1,
    leaving: 1,
    message: 'waiting: no machine could take it now (1 lost, 1 about to leave); one is to be bought',
  })
})

test('a machine on its way, and when it is expected', async () => {
  const job = await queued()
  await seedScaling(gateway.admin, { bootSeconds: 100 })
  await seedMachine(gateway.admin, { state: 'creating', location: 'nbg1', createdAgo: 5 })
  const nodeId = await seedMachine(gateway.admin, { state: 'booting', createdAgo: 70, billedAgo: 60 })
  const { message, since, readyAt, ...details } = await reason(job, 'booting')
  assert.deepEqual(details, { nodeId, state: 'booting', serverType: 'cx23', location: 'fsn1' })
  assert.ok(Math.abs(secondsTo(readyAt) - 40) < 10 && secondsTo(since) < -69, `${since} ${readyAt}`)
  assert.match(message, /^waiting: a machine is booting \(cx23 in fsn1\), ready in about (35|40) s$/)
})

test('a machine that boots says nothing to a job that is far behind it in the queue', async () => {
  await seedMachine(gateway.admin, { state: 'booting' })
  const full = await seedMachine(gateway.admin, { state: 'ready' })
  for (let i = 0; i < 2; i++) await queued({ priority: 9 })
  const [first, second] = [await queued({ priority: 5 }), await queued()]
  assert.equal((await gateway.attempts.claim(full)).length, 1)
  await gateway.admin.query(sql.unsafe`update nodes set slots = 1 where id = ${full}`)
  assert.equal((await reason(first, 'booting')).serverType, 'cx23')
  assert.equal((await reason(second, 'queue')).ahead, 2)
})

test('a machine with room, or with none, and nothing to be bought: its turn, and when', async () => {
  const [head, other] = [await queued(), await queued()]
  await gateway.factory.node()
  assert.deepEqual(await reason(head, 'queue'), { ahead: 0, orMore: false, estimatedSeconds: null, again: null, message: 'waiting for a slot: 0 ahead' })
  // Ten jobs in the last hundred seconds.
  await queueJobs(gateway.admin, gateway.factory, 10, { priority: -9 })
  await gateway.admin.query(sql.unsafe`
    update jobs set state = 'succeeded', cause = 'exit', started_at = now(), finished_at = now() - make_interval(secs => 10 * (seq - (select min(seq) from jobs where priority = -9)) + 10)
    where priority = -9`)
  const { message, estimatedSeconds } = await reason(other, 'queue')
  assert.ok(estimatedSeconds !== null && estimatedSeconds >= 18 && estimatedSeconds <= 24, String(estimatedSeconds))
  assert.match(message, /^waiting for a slot: 1 ahead, about (20|25) s$/)
})

test('a limit of the account, or of the project', async () => {
  const { accountId, projectId } = gateway.factory
  const running = await gateway.attempts.assign(await queued())
  const job = await queued()
  await changeLimits(gateway.admin, { accountId, projectId: null }, { runningJobs: 1 })
  const place = { ahead: 0, orMore: false }
  const message = 'waiting, as the account may run 1 at once: 0 ahead'
  assert.deepEqual(await reason(job, 'quota'), { scope: 'account', limit: 1, running: 1, ...place, message })
  await changeLimits(gateway.admin, { accountId, projectId: null }, { runningJobs: null })
  await changeLimits(gateway.admin, { accountId, projectId }, { runningJobs: 0 })
  assert.equal((await reason(job, 'quota')).scope, 'project')
  await changeLimits(gateway.admin, { accountId, projectId }, { runningJobs: null })
  await gateway.attempts.finish(running)
  await reason(job, 'queue')
})

test('nothing is started at all: machines that are not heard, drained, or cordoned', async () => {
  const job = await queued()
  await cordonNode(gateway.admin, await seedMachine(gateway.admin, { state: 'ready' }), 'it fails jobs')
  assert.deepEqual(await reason(job, 'paused'), { cause: 'cordoned', message: 'waiting: the machines that could take it fail jobs, and take no more' })
  await seedMachine(gateway.admin, { state: 'ready', drained: true })
  assert.deepEqual(await reason(job, 'paused'), { cause: 'drained', message: 'waiting: an operator has drained the machines that could take it' })
  await seedMachine(gateway.admin, { state: 'ready', createdAgo: 100, seenAgo: 30 })
  assert.deepEqual(await reason(job, 'paused'), { cause: 'unheard', message: 'waiting: no machine is heard; the bus may be away' })
})

test('no scheduler: neither the queue nor what is due goes on', async () => {
  await gateway.factory.node()
  const job = await queued()
  const due = await queued()
  await gateway.admin.query(
    sql.unsafe`update jobs set state = 'held', hold = 'not_before', hold_until = now() - interval '1 second', queue_until = null where id = ${due}`,
  )
  await reason(due, 'not_before')
  await leader.stop()
  for (const id of [job, due]) assert.equal((await reason(id, 'paused')).cause, 'no_scheduler')
  leader = await startLeader(gateway.schedulerUrl)
  await reason(job, 'queue')
})

test('more than any machine has or could have', async () => {
  const big = await queued({ resources: { cpu: '8', memory: '3Gi' } })
  await reason(big, 'no_nodes')
  await seedMachine(gateway.admin, { state: 'booting', slots: 1 })
  await seedScaling(gateway.admin, {})
  await seedCell(gateway.admin, { slots: 4, memoryBytes: 2 * GI })
  await seedCell(gateway.admin, { slots: 4, memoryBytes: 4 * GI, serverType: 'cx33' })
  assert.deepEqual(await reason(big, 'too_large'), {
    slots: 8,
    memoryBytes: 3 * GI,
    largest: { slots: 4, memoryBytes: 4 * GI },
    message: 'waiting: too large: it asks for 8 slots and 3 GiB, and the machine that comes closest has 4 slots and 4 GiB',
  })
  // Sold out or not: it could be bought one day.
  await seedCell(gateway.admin, { slots: 8, memoryBytes: 16 * GI, serverType: 'cx43', available: false })
  await reason(big, 'capacity')
})

test('nothing can be bought: each shortage, and the cells with their errors', async () => {
  const job = await queued()
  await seedScaling(gateway.admin, {})
  await seedCell(gateway.admin, { available: false, error: { code: 'resource_unavailable', message: 'out of stock' }, retryIn: 240 })
  await seedCell(gateway.admin, { available: false, location: 'nbg1', place: 2 })
  await seedCell(gateway.admin, { available: false, location: 'hel1', place: 3, slots: 1, memoryBytes: GI / 8 })
  const { cells, message, since, ...details } = await reason(job, 'capacity')
  assert.deepEqual(details, { provider: 'hetzner', shortage: 'no_cell', error: null, retryAt: null })
  assert.deepEqual(
    cells.map(({ retryAt, ...cell }) => ({ ...cell, retryIn: retryAt && Math.round(secondsTo(retryAt) / 60) })),
    [
      { serverType: 'cx23', location: 'fsn1', error: { code: 'resource_unavailable', message: 'out of stock' }, retryIn: 4 },
      { serverType: 'cx23', location: 'nbg1', error: null, retryIn: null },
    ],
  )
  assert.match(
    message,
    /^waiting: hetzner has no machine for it now \(cx23 in fsn1: resource_unavailable, tried again in about 4 min; cx23 in nbg1: not available\)$/,
  )
  for (const shortage of CAPACITY_SHORTAGES) {
    await seedScaling(gateway.admin, { shortage, detail: 'said: 40 slots wanted' })
    const told = await reason(job, 'capacity')
    assert.equal(told.shortage, shortage)
    // What everybody wants is nobody's business, nor is what the operator has to put right.
    const isOurs = shortage === 'max_nodes' || shortage === 'no_cell' || shortage === 'refused' || shortage === 'boot_failing'
    assert.equal(told.error, isOurs ? null : 'said: 40 slots wanted')
    assert.equal(told.message.includes('40 slots'), !isOurs)
  }
  await seedCell(gateway.admin, { location: 'sin', place: 4 })
  await seedScaling(gateway.admin, { shortage: 'max_spend', detail: '2 EUR', leftMicrons: 5599 })
  const { message: spent } = await reason(job, 'budget')
  assert.equal(spent, 'waiting: the machines cost what they may cost in an hour, so no more are bought')
  // Nobody has planned for long.
  await seedScaling(gateway.admin, { shortage: 'limit', decidedAgo: 3600 })
  await reason(job, 'no_nodes')
})

test('a job is told what it lacks itself, not what others lack', async () => {
  const [small, large] = [await queued(), await queued({ resources: { cpu: '4' } })]
  await seedCell(gateway.admin, { slots: 2, hourMicrons: 5000 })
  await seedCell(gateway.admin, { slots: 4, hourMicrons: 20_000, place: 2, serverType: 'cx43' })
  await seedScaling(gateway.admin, { shortage: 'max_spend', detail: 'another machine would cost more', leftMicrons: 10_000 })
  await reason(large, 'budget')
  await reason(small, 'no_nodes')
  await gateway.admin.query(sql.unsafe`update cells set available = false where slots = 4`)
  await seedScaling(gateway.admin, { shortage: 'no_cell', detail: 'not to be had now: cx43@fsn1' })
  const { shortage, cells } = await reason(large, 'capacity')
  assert.deepEqual([shortage, cells.map(({ serverType }) => serverType)], ['no_cell', ['cx43']])
  await reason(small, 'no_nodes')
  await seedScaling(gateway.admin, { shortage: 'too_large', detail: 'another one fits nothing', leftMicrons: 100 })
  await reason(small, 'budget')
})

test('resource_limit_exceeded at the provider is said at once, whatever was said before', async () => {
  const job = await queued()
  await seedScaling(gateway.admin, {})
  await seedCell(gateway.admin)
  await reason(job, 'no_nodes')
  await seedScaling(gateway.admin, { shortage: 'limit', detail: 'resource_limit_exceeded: server limit reached', pausedFor: 600 })
  const answer = (await gateway.call('GET', `/v1/jobs/${job}/explain`)).json<Explanation>()
  assert.equal(
    answer.message,
    'waiting: the account at hetzner may have no more machines: resource_limit_exceeded: server limit reached, tried again in about 10 min',
  )
})

test('held: by its batch, for a retry, until a time', async () => {
  const batchId = await gateway.factory.batch({ size: 3, parallel: 2 })
  const items = []
  for (let i = 0; i < 3; i++) items.push(await gateway.factory.job({ batchId, batchIndex: i, held: 'batch' }))
  await gateway.admin.transaction((tx) => releaseBatchHolds(tx, batchId))
  assert.deepEqual(await reason(items[2] as string, 'parallelism'), { batchId, parallel: 2, underWay: 2, message: 'held: batch parallelism 2/2' })
  const retried = await queued({ priority: 50, retries: 3, backoff: { initialSeconds: 60 } })
  await gateway.attempts.finish(await gateway.attempts.assign(retried), { exitCode: 3 })
  const { at, message, ...backoff } = await reason(retried, 'backoff')
  assert.deepEqual(backoff, { cause: 'exit', spends: 'retry', retry: 1, of: 3 })
  assert.match(message, /^retry 1 of 3 in (5\d|60) s$/)
  assert.ok(secondsTo(at) > 40)
  const again = await queued({ priority: 50 })
  await gateway.attempts.finish(await gateway.attempts.assign(again), { cause: 'image', exitCode: null, transient: true })
  assert.equal((await reason(again, 'backoff')).spends, 'infra')
  const late = (
    await gateway.call('POST', '/v1/projects/default/jobs', { spec: { runtime: 'bash', command: ['true'], notBefore: '2099-01-01T00:00:00Z' } })
  ).json()
  assert.deepEqual(await reason(late.id, 'not_before'), { at: '2099-01-01T00:00:00.000Z', message: 'held: not before 2099-01-01T00:00:00.000Z' })
})

test('running, cancelling, run again, and ended', async () => {
  const jobId = await queued({ priority: 60 })
  const first = await gateway.attempts.assign(jobId)
  const { since: _, ...assigned } = await reason(jobId, 'running')
  const { attemptId, nodeId } = first
  assert.deepEqual(assigned, { attemptId, attempt: 1, nodeId, phase: 'assigned', cancelRequested: false, message: `assigned to ${nodeId}` })
  for (const phase of ['preparing', 'running', 'finishing'] as const) {
    await gateway.admin.query(sql.unsafe`update attempts set state = ${phase} where id = ${attemptId}`)
    assert.equal((await reason(jobId, 'running')).message, `${phase} on ${nodeId}`)
  }
  await gateway.attempts.finish(first, { cause: 'interrupted', exitCode: null })
  const waiting = await reason(jobId, 'queue')
  assert.deepEqual([waiting.again, waiting.message], [{ cause: 'interrupted', attempts: 1 }, 'run again after interrupted; waiting for a slot: 0 ahead'])
  const second = await gateway.attempts.assign(jobId)
  await gateway.call('POST', `/v1/jobs/${jobId}/cancel`)
  assert.equal((await reason(jobId, 'running')).message, 'cancelling')
  await gateway.attempts.finish(second, { cause: 'cancelled', exitCode: null })
  assert.deepEqual(await reason(jobId, 'final'), { state: 'cancelled', cause: 'cancelled', exitCode: null, message: 'cancelled: cancelled' })
  const failed = await queued({ priority: 60 })
  await gateway.attempts.finish(await gateway.attempts.assign(failed), { exitCode: 7, message: 'no such file' })
  assert.deepEqual(await explain(failed).then(({ message, details }) => [message, details]), [
    'failed: exit code 7: no such file',
    { state: 'failed', cause: 'exit', exitCode: 7, message: 'no such file' },
  ])
})

test('nothing of another account is told', async () => {
  const other = await makeTenant(gateway.admin)
  await queueJobs(gateway.admin, other, 37, { priority: 100 })
  await seedScaling(gateway.admin, { shortage: 'max_nodes', detail: '41 slots missing', missingSlots: 41 })
  await seedCell(gateway.admin)
  const [foreign] = await gateway.attempts.claim(await gateway.factory.node({ slots: 1 }))
  const job = await queued()
  const explanation = JSON.stringify(await explain(job))
  assert.match(explanation, /"capacity"/)
  for (const secret of [other.accountId, other.projectId, foreign?.jobId ?? 'none', '41', '37', '36'])
    assert.ok(!explanation.replace(/"since":"[^"]*"|"job_[^"]*"/g, '').includes(secret), `${secret} in ${explanation}`)
  const theirs = await gateway.admin.oneFirst(sql.unsafe`select id from jobs where account_id = ${other.accountId} limit 1`)
  assert.equal((await gateway.call('GET', `/v1/jobs/${theirs}/explain`)).statusCode, 404)
})

test('every code of the list came up above', () => assert.deepEqual([...seen].sort(), [...REASON_CODES].sort()))
