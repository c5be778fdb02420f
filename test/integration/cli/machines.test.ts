import assert from 'node:assert/strict'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import { sql } from 'slonik'
import { Explanation } from '#core/explain.ts'
import { CellList, NodeDetail, NodeView } from '#core/operator-api.ts'
import type { Service } from '#core/service/run.ts'
import { createApiKey } from '#store/bootstrap.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { startLeader } from '../../harness/leader.ts'
import { forgetMachines, seedCell, seedMachine, seedScaling } from '../../harness/machines.ts'
import { runCommand } from '../../harness/platform.ts'

const RGRID = join(import.meta.dirname, '../../../cli/rgrid')
let gateway: TestGateway
let leader: Service
let env: Record<string, string>

before(async () => {
  gateway = await startGateway()
  leader = await startLeader(gateway.schedulerUrl)
  env = { RGRID_API_URL: await gateway.listen(), RGRID_API_KEY: gateway.key }
})
after(async () => {
  await leader.stop()
  await gateway.stop()
})
afterEach(() => forgetMachines(gateway.admin))

const rgrid = (...args: string[]) => runCommand(RGRID, args, { env })
/** A line of a table by its first cell; its cells. */
const cells = (table: string, first: string) =>
  table
    .split('\n')
    .find((line) => line.startsWith(first))
    ?.split(/ {2,}/)

test('rgrid explain says the reason with its details, and the cells that have nothing', async () => {
  await seedScaling(gateway.admin, { shortage: 'limit', detail: 'resource_limit_exceeded: server limit reached' })
  await seedCell(gateway.admin, { available: false, error: { code: 'resource_unavailable', message: 'out of \u001b]0;x stock' }, retryIn: 300 })
  const job = await gateway.factory.job()
  const { code, stdout } = await rgrid('explain', job)
  assert.equal(code, 0)
  assert.deepEqual(cells(stdout, 'job '), ['job', job])
  assert.deepEqual(cells(stdout, 'reason'), ['reason', 'capacity'])
  assert.match(stdout, /^why +waiting: the account at hetzner may have no more machines: resource_limit_exceeded: server limit reached \(cx23 in fsn1: /m)
  assert.deepEqual(cells(stdout, 'shortage'), ['shortage', 'limit'])
  assert.match(stdout, /\n\nMACHINE +LOCATION +AGAIN IN +WHY NOT\ncx23 +fsn1 +[45]m +resource_unavailable: out of \\x1b\]0;x stock\n$/)
  const json: unknown = JSON.parse((await rgrid('explain', '--json', job)).stdout)
  assert.ok(Value.Check(Explanation, json) && json.code === 'capacity' && json.details.cells.length === 1)
  assert.match((await rgrid('status', job)).stdout, /^why +waiting: the account at hetzner may have no more machines/m)
})

test('rgrid explain tells the state of the job and of a machine that boots apart, and says nothing twice', async () => {
  const job = await gateway.factory.job()
  const node = await seedMachine(gateway.admin, { state: 'booting', createdAgo: 5 })
  const booting = (await rgrid('explain', job)).stdout
  assert.deepEqual(
    [cells(booting, 'state'), cells(booting, 'node state'), cells(booting, 'node id')],
    [
      ['state', 'queued'],
      ['node state', 'booting'],
      ['node id', node],
    ],
  )
  assert.equal((await rgrid('cancel', job)).code, 0)
  const ended = (await rgrid('explain', job)).stdout
  assert.equal(ended.match(/^(node )?state /gm)?.length, 1, ended)
})

test('rgrid explain of what is not there, is not one job, or is not said to whom asks', async () => {
  assert.equal((await rgrid('explain', 'job_nothing')).code, 3)
  assert.equal((await rgrid('explain')).code, 2)
  assert.equal((await rgrid('explain', 'a', 'b')).code, 2)
  const key = await createApiKey(gateway.admin, gateway.factory.projectId, 'no reader', ['jobs:write'])
  const job = await gateway.factory.job()
  assert.equal((await runCommand(RGRID, ['explain', job], { env: { ...env, RGRID_API_KEY: key } })).code, 4)
  assert.equal((await runCommand(RGRID, ['nodes'], { env: { ...env, RGRID_API_KEY: key } })).code, 4)
})

test('rgrid nodes shows the life of each machine, what it costs, and why it stays or goes', async () => {
  const ready = await seedMachine(gateway.admin, {
    state: 'ready',
    createdAgo: 4000,
    billedAgo: 4000,
    verdict: 'idle: goes in 50 min',
    images: ['python:3.11', 'bash'],
  })
  const booting = await seedMachine(gateway.admin, { state: 'booting', createdAgo: 80, billedAgo: 70, location: 'nbg1' })
  const planned = await seedMachine(gateway.admin, { state: 'planned', createdAgo: 1 })
  const failed = await seedMachine(gateway.admin, { state: 'failed', createdAgo: 900, failure: 'it did not enrol in 300 s' })
  const old = await seedMachine(gateway.admin, { state: 'gone', createdAgo: 200_000, endedAgo: 100_000 })
  const byHand = await gateway.factory.node({ slots: 4 })
  const table = (await rgrid('nodes')).stdout
  assert.match(table, /^NODE +NAME +STATE +AGE +PAID +SLOTS +MEMORY +MACHINE +EUR\/H +IMAGES +SEEN +WHY\n/)
  assert.deepEqual(cells(table, ready)?.slice(2, 10), ['ready', '1h', '53m', '0/2', '4 GiB', 'cx23 in fsn1', '0.0056', '2'])
  assert.deepEqual(cells(table, ready)?.at(-1), 'idle: goes in 50 min')
  assert.deepEqual(cells(table, booting)?.slice(4, 9), ['59m', '0/2', '4 GiB', 'cx23 in nbg1', '0.0056'])
  assert.deepEqual([cells(table, planned)?.[2], cells(table, planned)?.[4], cells(table, planned)?.[10]], ['planned', '-', '-'])
  assert.deepEqual(cells(table, byHand)?.slice(7, 9), ['by hand', '-'])
  assert.equal(cells(table, failed), undefined)
  const all = (await rgrid('nodes', '--all')).stdout
  assert.equal(cells(all, failed)?.at(-1), 'it did not enrol in 300 s')
  assert.equal(cells(all, old), undefined, 'of yesterday')
  const json = (await rgrid('nodes', '--json')).stdout
    .trimEnd()
    .split('\n')
    .map((line): unknown => JSON.parse(line))
  assert.ok(json.length === 4 && json.every((node) => Value.Check(NodeView, node)))
})

test('rgrid nodes NODE shows one of them, with its images and what runs there; drain works on one that boots', async () => {
  const nodeId = await seedMachine(gateway.admin, { state: 'ready', createdAgo: 60, billedAgo: 60, images: ['python:3.11', 'bash'] })
  await gateway.admin.query(sql.unsafe`update jobs set state = 'cancelled', cause = 'cancelled', finished_at = now() where finished_at is null`)
  await gateway.factory.job()
  const [job] = await gateway.attempts.claim(nodeId)
  assert.ok(job)
  const { stdout } = await rgrid('nodes', nodeId)
  assert.deepEqual(cells(stdout, 'machine'), ['machine', 'cx23 in fsn1 at hetzner, amd64'])
  assert.deepEqual(cells(stdout, 'slots'), ['slots', '1 of 2 in use'])
  assert.match(stdout, new RegExp(`\n\nATTEMPT +JOB +STATE +SINCE\n${job.attemptId} +${job.jobId} +assigned +\\S+Z\n\nIMAGE\nbash\npython:3.11\n$`))
  const detail: unknown = JSON.parse((await rgrid('nodes', nodeId, '--json')).stdout)
  assert.ok(Value.Check(NodeDetail, detail))
  assert.deepEqual(detail.images, ['python:3.11', 'bash'])
  assert.ok(detail.paidUntil && detail.billedFrom && Date.parse(detail.paidUntil) - Date.parse(detail.billedFrom) === 3_600_000)
  await gateway.attempts.finish(job)
  const booting = await seedMachine(gateway.admin, { state: 'booting' })
  assert.match((await rgrid('nodes', 'drain', booting)).stdout, / booting, to drain /)
  assert.equal((await rgrid('nodes', 'node_nothing')).code, 3)
})

test('rgrid nodes --cells shows the ladder and what the planner decided', async () => {
  assert.match((await rgrid('nodes', '--cells')).stdout, /^no machines are bought here/)
  await seedScaling(gateway.admin, { shortage: 'no_cell', detail: 'nothing for 4 slots', missingSlots: 4, bootSeconds: 42 })
  await seedCell(gateway.admin, { place: 2 })
  await seedCell(gateway.admin, {
    place: 1,
    location: 'nbg1',
    available: false,
    error: { code: 'resource_unavailable', message: 'out of stock' },
    retryIn: 600,
  })
  const { stdout } = await rgrid('nodes', '--cells')
  assert.match(
    stdout,
    /^PLACE +MACHINE +LOCATION +ARCH +SLOTS +MEMORY +EUR\/H +NOW +AGAIN IN +CHECKED +LAST ERROR\n1 +cx23 +nbg1 +amd64 +2 +4 GiB +0.0056 +not available +(9|10)m +\d+s +resource_unavailable: out of stock\n2 +cx23 +fsn1 .* available +- +\d+s +-\n/,
  )
  assert.deepEqual(cells(stdout, 'shortage'), ['shortage', 'no_cell: nothing for 4 slots'])
  assert.deepEqual(cells(stdout, 'a boot'), ['a boot takes', '42 s'])
  const list: unknown = JSON.parse((await rgrid('nodes', '--cells', '--json')).stdout)
  assert.ok(Value.Check(CellList, list) && list.items.length === 2 && list.scaling?.missingSlots === 4)
  for (const args of [
    ['--cells', '--all'],
    ['--cells', 'node_x'],
    ['drain', 'node_x', '--all'],
    ['stop', 'node_x'],
  ])
    assert.equal((await rgrid('nodes', ...args)).code, 2)
})
