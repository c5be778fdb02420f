import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { sql } from 'slonik'
import { Control, Wake } from '#bus/messages/node.ts'
import { controlSubject, wakeSubject } from '#bus/subjects.ts'
import { JobDetail, JobPage, JobView } from '#core/api.ts'
import { newId } from '#core/ids.ts'
import type { Service } from '#core/service/run.ts'
import { row } from '#store/row.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { startLeader } from '../../harness/leader.ts'
import { WRONG_JOBS } from '../../harness/wrong-specs.ts'

let gateway: TestGateway
let leader: Service
before(async () => {
  gateway = await startGateway()
  leader = await startLeader(gateway.schedulerUrl)
})
after(async () => {
  await leader.stop()
  await gateway.stop()
})

const SharedRow = row(Type.Object({ jobs: Type.Number(), transactions: Type.Number(), events: Type.Number(), deeds: Type.Number() }))
const JOBS = '/v1/projects/default/jobs'
const job = (change: Record<string, unknown> = {}, metadata = {}) => ({ metadata, spec: { runtime: 'bash', command: ['true'], ...change } })

async function submit(change: Record<string, unknown> = {}, metadata = {}): Promise<JobView> {
  const response = await gateway.call('POST', JOBS, job(change, metadata))
  assert.equal(response.statusCode, 201, response.body)
  return response.json()
}

const rowCount = async (table: 'jobs' | 'events' | 'outbox' | 'batches') =>
  Number(await gateway.admin.oneFirst(sql.unsafe`select count(*) from ${sql.identifier([table])}`))

test('each wrong document is 422, names the field, and nothing is stored', async () => {
  assert.ok(WRONG_JOBS.length >= 40)
  for (const { what, path, document } of WRONG_JOBS) {
    const response = await gateway.app.inject({
      method: 'POST',
      url: JOBS,
      headers: { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json' },
      payload: JSON.stringify(document),
    })
    assert.equal(response.statusCode, 422, `${what}: ${response.body}`)
    assert.deepEqual(
      response.json().errors.map((issue: { path: string }) => issue.path),
      [path],
      what,
    )
  }
  for (const table of ['jobs', 'events', 'outbox', 'batches'] as const) assert.equal(await rowCount(table), 0)
})

test('submits that come together share transactions, and each has its event and its entry in the audit log', async () => {
  const label = { round: 'shared' }
  const ids = (await Promise.all(Array.from({ length: 100 }, () => submit({}, { labels: label })))).map((view) => view.id)
  const found = await gateway.admin.one(sql.type(SharedRow)`
    with j as (select id, created_at from jobs where labels = ${JSON.stringify(label)}::jsonb)
    select count(*)::int as jobs, count(distinct created_at)::int as transactions,
      (select count(*) from events where job_id in (select id from j))::int as events,
      (select count(*) from audit_log where object_id in (select id from j) and action = 'job.submit')::int as deeds
    from j`)
  assert.equal(new Set(ids).size, 100)
  assert.deepEqual([found.jobs, found.events, found.deeds], [100, 100, 100])
  assert.ok(found.transactions < 25, `${found.transactions} transactions`)
})

test('a job is stored with its event and its place in the outbox, and a node is woken', async () => {
  const woken = new Promise((resolve) => gateway.bus.subscribe(wakeSubject('default'), Wake, resolve, 'test'))
  await gateway.bus.connection.flush()
  const response = await gateway.call('POST', JOBS, job({}, { name: 'first', labels: { team: 'media' } }))
  assert.equal(response.statusCode, 201)
  const view: unknown = response.json()
  assert.ok(Value.Check(JobView, view))
  assert.equal(response.headers.location, `/v1/jobs/${view.id}`)
  assert.deepEqual([view.state, view.reason, view.name, view.project], ['queued', 'waiting for a slot', 'first', 'default'])
  assert.deepEqual(await woken, { jobs: 1 })
  assert.deepEqual(await gateway.factory.eventTypes(view.id), ['job.submitted'])
  assert.equal(await rowCount('outbox'), await rowCount('events'))

  const detail: unknown = (await gateway.call('GET', `/v1/jobs/${view.id}`)).json()
  assert.ok(Value.Check(JobDetail, detail))
  assert.deepEqual(detail.attempts, [])
  assert.equal((detail.spec as { timeoutSeconds: number }).timeoutSeconds, 3600)
})

test('a job that may not start yet is held and says until when', async () => {
  const view = await submit({ notBefore: '2099-01-01T00:00:00Z' })
  assert.deepEqual([view.state, view.hold, view.reason], ['held', 'not_before', 'held: not before 2099-01-01T00:00:00.000Z'])
  assert.equal((await submit({ notBefore: '2001-01-01T00:00:00Z' })).state, 'queued')
})

test('the reason says how many are ahead, by priority and then by age', async () => {
  await gateway.admin.query(sql.unsafe`update jobs set state = 'cancelled', cause = 'cancelled', finished_at = now() where state = 'queued'`)
  await gateway.factory.node()
  const low = await submit({ priority: -5 })
  const high = await submit({ priority: 5 })
  const middle = await submit()
  const reasonOf = async (id: string) => (await gateway.call('GET', `/v1/jobs/${id}`)).json().reason
  assert.equal(await reasonOf(high.id), 'waiting for a slot: 0 ahead')
  assert.equal(await reasonOf(middle.id), 'waiting for a slot: 1 ahead')
  assert.equal(await reasonOf(low.id), 'waiting for a slot: 2 ahead')
})

test('a document that names another project is refused', async () => {
  const response = await gateway.call('POST', JOBS, job({}, { project: 'other' }))
  assert.equal(response.statusCode, 422)
  assert.equal(response.json().errors[0].path, 'metadata.project')
  assert.equal((await gateway.call('POST', JOBS, job({}, { project: 'default' }))).statusCode, 201)
})

test('an input must name an uploaded file', async () => {
  const response = await gateway.call(
    'POST',
    JOBS,
    job({
      files: {
        inputs: [
          { path: 'x', url: 'https://example.com' },
          { path: 'y', file: newId('file') },
        ],
      },
    }),
  )
  assert.equal(response.statusCode, 422)
  assert.equal(response.json().errors[0].path, 'spec.files.inputs.1.file')
})

test('pages of a list neither repeat nor miss a job while new ones come in', async () => {
  const label = { run: newId('job').slice(-10) }
  const ids = []
  for (let i = 0; i < 7; i++) ids.push((await submit({}, { labels: label })).id)
  const seen: string[] = []
  let cursor: string | null = ''
  while (cursor !== null) {
    const response = await gateway.call('GET', `${JOBS}?label=run=${label.run}&limit=3${cursor && `&cursor=${cursor}`}`)
    const page: unknown = response.json()
    assert.ok(Value.Check(JobPage, page), response.body)
    seen.push(...page.items.map((item) => item.id))
    cursor = page.nextCursor
    await submit({}, { labels: label })
  }
  assert.deepEqual(seen, ids.reverse())
})

test('a list is narrowed by state, name and labels', async () => {
  const name = `n-${newId('job').slice(-10)}`
  const first = await submit({}, { name, labels: { a: '1', b: '1' } })
  const second = await submit({ notBefore: '2099-01-01T00:00:00Z' }, { name, labels: { a: '1' } })
  const idsOf = async (query: string) => (await gateway.call('GET', `${JOBS}?name=${name}&${query}`)).json().items.map((item: JobView) => item.id)
  assert.deepEqual(await idsOf(''), [second.id, first.id])
  assert.deepEqual(await idsOf('state=held'), [second.id])
  assert.deepEqual(await idsOf('state=held,queued'), [second.id, first.id])
  assert.deepEqual(await idsOf('label=a=1&label=b=1'), [first.id])
  assert.deepEqual(await idsOf('label=a=2'), [])
})

test('a waiting job is cancelled at once, and once', async () => {
  const { id } = await submit()
  assert.deepEqual((await gateway.call('POST', `/v1/jobs/${id}/cancel`)).json(), { cancelled: 1, requested: 0 })
  const view = (await gateway.call('GET', `/v1/jobs/${id}`)).json()
  assert.deepEqual([view.state, view.cause, view.reason, view.cancelRequested], ['cancelled', 'cancelled', null, true])
  assert.deepEqual(await gateway.factory.eventTypes(id), ['job.submitted', 'job.cancelled'])
  const again = await gateway.call('POST', `/v1/jobs/${id}/cancel`)
  assert.equal(again.statusCode, 409)
  assert.equal(again.json().code, 'conflict')
  assert.equal((await gateway.call('POST', `/v1/jobs/${newId('job')}/cancel`)).statusCode, 404)
})

test('the node of a running job is told to cancel it', async () => {
  const { id } = await submit({ priority: 100 })
  const { nodeId, attemptId } = await gateway.attempts.assign(id)
  const told = new Promise((resolve) => gateway.bus.subscribe(controlSubject(nodeId), Control, resolve))
  await gateway.bus.connection.flush()
  assert.deepEqual((await gateway.call('POST', `/v1/jobs/${id}/cancel`)).json(), { cancelled: 0, requested: 1 })
  assert.deepEqual(await told, { kind: 'cancel', attemptId })
  const view = (await gateway.call('GET', `/v1/jobs/${id}`)).json()
  assert.deepEqual([view.state, view.reason, view.cancelRequested, view.nodeId, view.attempts.length], ['running', 'cancelling', true, nodeId, 1])
})
