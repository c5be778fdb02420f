import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import { sql } from 'slonik'
import { Wake } from '#bus/messages/node.ts'
import { wakeSubject } from '#bus/subjects.ts'
import { BatchView, type JobView } from '#core/api.ts'
import { newId } from '#core/ids.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'

let gateway: TestGateway
before(async () => {
  gateway = await startGateway()
})
after(() => gateway.stop())

const BATCHES = '/v1/projects/default/batches'
const template = { runtime: 'bash', command: ['true'] }
const items = (count: number) => Array.from({ length: count }, (_, i) => ({ args: [`${i}`] }))

async function submit(document: Record<string, unknown>): Promise<BatchView> {
  const response = await gateway.call('POST', BATCHES, { template, ...document })
  assert.equal(response.statusCode, 201, response.body)
  const view: unknown = response.json()
  assert.ok(Value.Check(BatchView, view))
  assert.equal(response.headers.location, `/v1/batches/${view.id}`)
  return view
}

const read = async (id: string): Promise<BatchView> => (await gateway.call('GET', `/v1/batches/${id}`)).json()
const jobsOf = async (id: string): Promise<JobView[]> => (await gateway.call('GET', `/v1/projects/default/jobs?batch=${id}&limit=200`)).json().items
const eventsOf = (id: string) => gateway.admin.anyFirst(sql.unsafe`select type from events where batch_id = ${id} and job_id is null order by id`)

test('the first jobs are queued, the others held, and as many nodes woken', async () => {
  const wakes: unknown[] = []
  const heard = gateway.bus.subscribe(wakeSubject('default'), Wake, (wake) => wakes.push(wake), 'test')
  await gateway.bus.connection.flush()
  const batch = await submit({ items: items(20), parallel: 3, metadata: { name: 'many', labels: { team: 'media' } } })
  await gateway.bus.connection.flush()
  heard.unsubscribe()
  assert.equal(wakes.length, 3)
  assert.deepEqual([batch.name, batch.size, batch.parallel, batch.counts.queued, batch.counts.held], ['many', 20, 3, 3, 17])
  const jobs = await jobsOf(batch.id)
  assert.deepEqual(
    jobs.map((job) => job.batchIndex),
    Array.from({ length: 20 }, (_, i) => i),
  )
  assert.deepEqual(jobs[0]?.labels, { team: 'media' })
  assert.deepEqual([jobs[3]?.state, jobs[3]?.hold, jobs[3]?.reason], ['held', 'batch', 'held: batch parallelism 3/3'])
  assert.deepEqual(await eventsOf(batch.id), ['batch.submitted'])
})

test('pages of a batch are in its order', async () => {
  const batch = await submit({ items: items(5) })
  const page = (await gateway.call('GET', `/v1/projects/default/jobs?batch=${batch.id}&limit=2`)).json()
  const next = (await gateway.call('GET', `/v1/projects/default/jobs?batch=${batch.id}&limit=3&cursor=${page.nextCursor}`)).json()
  assert.deepEqual(
    [...page.items, ...next.items].map((job: JobView) => job.batchIndex),
    [0, 1, 2, 3, 4],
  )
  assert.equal(next.nextCursor, null)
})

test('10,000 jobs are taken in one request, within a minute and at once', async () => {
  const started = performance.now()
  const batch = await submit({ items: items(10_000), parallel: 50 })
  const took = performance.now() - started
  assert.deepEqual([batch.size, batch.counts.queued, batch.counts.held], [10_000, 50, 9950])
  const cancelStarted = performance.now()
  assert.deepEqual((await gateway.call('POST', `/v1/batches/${batch.id}/cancel`)).json(), { cancelled: 10_000, requested: 0 })
  process.stdout.write(`# 10,000 jobs: submitted in ${Math.round(took)} ms, cancelled in ${Math.round(performance.now() - cancelStarted)} ms\n`)
  assert.ok(took < 60_000, `${took} ms`)
})

test('a fault of one item refuses the whole batch', async () => {
  const before = await gateway.admin.oneFirst(sql.unsafe`select count(*)::int from jobs`)
  const response = await gateway.call('POST', BATCHES, { template, items: [...items(1500), { env: { RGRID_X: '1' } }] })
  assert.equal(response.statusCode, 422)
  assert.equal(response.json().errors[0].path, 'items.1500.env.RGRID_X')
  assert.equal(await gateway.admin.oneFirst(sql.unsafe`select count(*)::int from jobs`), before)
})

test('a file that is not there is named by its item, or by the template', async () => {
  const file = newId('file')
  const inputs = [{ path: 'a', url: 'https://example.com/a' }]
  const ofItem = await gateway.call('POST', BATCHES, { template: { ...template, files: { inputs } }, items: [{}, { inputs: [{ path: 'x', file }] }] })
  assert.equal(ofItem.json().errors[0].path, 'items.1.inputs.0.file')
  const ofTemplate = await gateway.call('POST', BATCHES, { template: { ...template, files: { inputs: [{ path: 'x', file }] } }, items: items(2) })
  assert.deepEqual(
    ofTemplate.json().errors.map((issue: { path: string }) => issue.path),
    ['template.files.inputs.0.file'],
  )
})

test('a place that a cancelled job frees goes to the next held one', async () => {
  const batch = await submit({ items: items(3), parallel: 1 })
  const [first] = await jobsOf(batch.id)
  await gateway.call('POST', `/v1/jobs/${first?.id}/cancel`)
  assert.deepEqual(
    (await jobsOf(batch.id)).map((job) => job.state),
    ['cancelled', 'queued', 'held'],
  )
})

test('the last job that ends by cancel completes the batch', async () => {
  const batch = await submit({ items: items(2) })
  for (const job of await jobsOf(batch.id)) await gateway.call('POST', `/v1/jobs/${job.id}/cancel`)
  const after = await read(batch.id)
  assert.equal(after.counts.cancelled, 2)
  assert.ok(after.finishedAt)
  assert.deepEqual(await eventsOf(batch.id), ['batch.submitted', 'batch.completed'])
})

test('a cancelled batch ends what waits and asks what runs', async () => {
  const batch = await submit({ items: items(4), parallel: 2, template: { ...template, priority: 100 } })
  const [first] = await jobsOf(batch.id)
  const job = await gateway.attempts.assign(first?.id as string)
  assert.deepEqual((await gateway.call('POST', `/v1/batches/${batch.id}/cancel`)).json(), { cancelled: 3, requested: 1 })
  assert.equal((await read(batch.id)).finishedAt, null)
  await gateway.attempts.finish(job, { cause: 'cancelled', exitCode: null })
  assert.ok((await read(batch.id)).finishedAt)
  assert.deepEqual(await eventsOf(batch.id), ['batch.submitted', 'batch.cancelled', 'batch.completed'])
  assert.deepEqual((await gateway.call('POST', `/v1/batches/${batch.id}/cancel`)).json(), { cancelled: 0, requested: 0 })
})

test('a batch of another name for a project, and one that is not there', async () => {
  assert.equal((await gateway.call('POST', BATCHES, { metadata: { project: 'other' }, template, items: items(1) })).json().errors[0].path, 'metadata.project')
  assert.equal((await gateway.call('GET', `/v1/batches/${newId('batch')}`)).statusCode, 404)
  assert.equal((await gateway.call('POST', `/v1/batches/${newId('batch')}/cancel`)).statusCode, 404)
})

test('cancels and results that come all at once neither wait for each other for ever nor lose a job', async () => {
  const batch = await submit({ items: items(30), parallel: 10, template: { ...template, priority: 100 } })
  const jobs = await jobsOf(batch.id)
  const running = []
  for (const job of jobs.slice(0, 10)) running.push(await gateway.attempts.assign(job.id))
  await Promise.all([
    ...running.map((job) => gateway.attempts.finish(job)),
    ...jobs.slice(10, 20).map((job) => gateway.call('POST', `/v1/jobs/${job.id}/cancel`)),
    gateway.call('POST', `/v1/batches/${batch.id}/cancel`),
  ])
  const after = await read(batch.id)
  assert.equal(after.counts.succeeded + after.counts.cancelled, 30)
  assert.ok(after.finishedAt)
  assert.equal((await eventsOf(batch.id)).filter((type) => type === 'batch.completed').length, 1)
})
