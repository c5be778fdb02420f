import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { pino } from 'pino'
import { EVENT_STREAM } from '#bus/streams.ts'
import { newId } from '#core/ids.ts'
import { createApiKey, ensureProject } from '#store/bootstrap.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createRelay } from '../../../scheduler/relay.ts'
import { type EventStream, openEvents, type StreamEvent } from '../../harness/event-stream.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'

const log = pino({ level: 'silent' })
let gateway: TestGateway
let address: string
let scheduler: DatabasePool
let relay: ReturnType<typeof createRelay>
before(async () => {
  gateway = await startGateway()
  address = await gateway.listen()
  scheduler = await createDbPool(gateway.schedulerUrl, 2)
  relay = createRelay(scheduler, gateway.bus, log, () => true)
  await relay.start()
})
after(async () => {
  await relay?.stop()
  await scheduler?.end()
  await gateway?.stop()
})

const listen = (query = '', headers: Record<string, string> = {}): Promise<EventStream> =>
  openEvents(`${address}/v1/events${query}`, { authorization: `Bearer ${gateway.key}`, ...headers })

/** A stream that is past its beginning. */
async function ready(query = '', headers: Record<string, string> = {}): Promise<EventStream> {
  const stream = await listen(query, headers)
  assert.equal((await stream.next())?.event, 'ready')
  return stream
}

async function submit(): Promise<string> {
  const response = await gateway.call('POST', '/v1/projects/default/jobs', { spec: { runtime: 'bash', command: ['true'], priority: 100 } })
  assert.equal(response.statusCode, 201)
  return response.json().id
}

async function submitBatch(size: number): Promise<string> {
  const body = { template: { runtime: 'bash', command: ['true'] }, items: Array.from({ length: size }, () => ({})) }
  const response = await gateway.call('POST', '/v1/projects/default/batches', body)
  assert.equal(response.statusCode, 201)
  return response.json().id
}

const typeOf = ({ data }: StreamEvent) => data.type
const isType = (type: string) => (event: StreamEvent) => event.data.type === type

test('a job’s life is heard as it happens, as CloudEvents, in order', async () => {
  const stream = await ready()
  const jobId = await submit()
  const job = await gateway.attempts.assign(jobId)
  await gateway.attempts.finish(job)
  const events = await stream.until(isType('rgrid.job.succeeded'))
  assert.deepEqual(events.map(typeOf), ['rgrid.job.submitted', 'rgrid.job.assigned', 'rgrid.job.succeeded'])
  assert.deepEqual(new Set(events.map(({ event }) => event)), new Set(['message']))
  const { data } = events.at(-1) as StreamEvent
  assert.deepEqual([data.specversion, data.subject, data.source, data.data.jobId], ['1.0', jobId, `/projects/${gateway.factory.projectId}`, jobId])
  assert.ok(Date.parse(data.time) > 0)
})

test('it is narrowed to a job, a batch with its jobs, or types', async () => {
  const [mine, other] = [await submit(), await submit()]
  const [ofJob, ofTypes] = [await ready(`?job=${mine}`), await ready('?type=batch.cancelled,job.cancel_requested&type=batch.completed')]
  for (const id of [other, mine]) await gateway.call('POST', `/v1/jobs/${id}/cancel`)
  assert.equal((await ofJob.next())?.data.subject, mine)
  const before = await ready()
  const batchId = await submitBatch(2)
  const seen = await before.until(isType('rgrid.batch.submitted'))
  const ofBatch = await listen(`?batch=${batchId}`, { 'last-event-id': seen[0]?.id as string })
  await gateway.call('POST', `/v1/batches/${batchId}/cancel`)
  const events = await ofBatch.until(isType('rgrid.batch.completed'))
  assert.deepEqual(new Set(events.filter(({ event }) => event === 'message').map(({ data }) => data.data.batchId)), new Set([batchId]))
  assert.ok(events.some(isType('rgrid.job.cancelled')))
  assert.deepEqual(
    [typeOf((await ofTypes.next()) as StreamEvent), typeOf((await ofTypes.next()) as StreamEvent)],
    ['rgrid.batch.cancelled', 'rgrid.batch.completed'],
  )
})

test('one that comes back misses nothing and hears nothing twice', async () => {
  const first = await ready()
  const jobId = await submit()
  const [submitted] = await first.until(isType('rgrid.job.submitted'))
  first.close()
  await gateway.call('POST', `/v1/jobs/${jobId}/cancel`)
  const again = await ready('', { 'last-event-id': submitted?.id as string })
  assert.equal((await again.next())?.data.type, 'rgrid.job.cancelled')
  await submit()
  assert.equal((await again.next())?.data.type, 'rgrid.job.submitted')
})

test('one that was there before the first event comes back to where it was', async () => {
  const stream = await listen()
  const begin = await stream.next()
  stream.close()
  const jobId = await submit()
  const again = await ready('', { 'last-event-id': begin?.id as string })
  assert.equal((await again.next())?.data.subject, jobId)
})

test('from a time on', async () => {
  const jobId = await submit()
  const stream = await ready(`?job=${jobId}&since=2020-01-01T00:00:00Z`)
  const submitted = await stream.next()
  assert.equal(submitted?.data.type, 'rgrid.job.submitted')
  const [before, behind] = [submitted.data.time, new Date(Date.parse(submitted.data.time) + 1).toISOString()]
  assert.equal((await (await ready(`?job=${jobId}&since=${before}`)).next())?.data.type, 'rgrid.job.submitted')
  const later = await ready(`?job=${jobId}&since=${behind}`)
  await gateway.call('POST', `/v1/jobs/${jobId}/cancel`)
  assert.equal((await later.next())?.data.type, 'rgrid.job.cancelled')
})

test('what happens after the answer has begun is heard, before anything of it was read', async () => {
  const response = await fetch(`${address}/v1/events`, { headers: { authorization: `Bearer ${gateway.key}` } })
  const jobId = await submit()
  let text = ''
  for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += piece
    if (text.includes(`"subject":"${jobId}"`)) break
  }
  assert.match(text, /^event: ready\n/)
})

test('when what was missed is no longer kept, it says to read the state anew', async () => {
  const stream = await listen()
  const [created, sequence] = ((await stream.next())?.id ?? '').split('-')
  for (const id of [`${created}x-${sequence}`, `${created}-999999999`]) {
    const again = await listen('', { 'last-event-id': id })
    const reset = await again.next()
    assert.equal(reset?.event, 'reset')
    assert.match(reset?.data.reason, /read the state again/)
    assert.equal((await again.next())?.event, 'ready')
    const jobId = await submit()
    assert.equal((await again.next())?.data.subject, jobId)
  }
})

test('another project hears nothing of it', async () => {
  const key = await createApiKey(gateway.admin, await ensureProject(gateway.admin, 'other', 'other'), 'test')
  const stream = await ready('', { authorization: `Bearer ${key}` })
  await submit()
  const theirs = await gateway.call('POST', '/v1/projects/other/jobs', { spec: { runtime: 'bash', command: ['true'] } }, { authorization: `Bearer ${key}` })
  assert.equal((await stream.next())?.data.subject, theirs.json().id)
  assert.equal((await gateway.call('GET', '/v1/events?project=other')).statusCode, 404)
})

test('what is no job or batch of the project cannot be asked for, whatever it would mean on the bus', async () => {
  const said: string[] = []
  const spy = gateway.bus.connection.subscribe('rgrid.wake.>', { callback: (_, message) => void said.push(message.subject) })
  await gateway.bus.connection.flush()
  const { factory } = gateway
  const ids = [newId('job'), newId('batch'), '*', '>', `${factory.projectId}.*`, 'a b', 'a 2\r\n{}\r\nPUB rgrid.wake.evil 2\r\n{}\r\nPUB x', '']
  for (const kind of ['job', 'batch']) {
    for (const id of ids) {
      const response = await gateway.call('GET', `/v1/events?${kind}=${encodeURIComponent(id)}`)
      assert.deepEqual([response.statusCode, response.json().code], [404, 'not_found'], id)
    }
  }
  const key = await createApiKey(gateway.admin, await ensureProject(gateway.admin, 'other', 'other'), 'test')
  const theirs = await gateway.call('GET', `/v1/events?job=${await submit()}`, undefined, { authorization: `Bearer ${key}` })
  assert.equal(theirs.statusCode, 404)
  await gateway.bus.connection.flush()
  spy.unsubscribe()
  assert.ok(!said.includes('rgrid.wake.evil'))
})

test('wrong queries are refused by their field', async () => {
  for (const [query, headers, path] of [
    ['?type=job.exploded', {}, 'type'],
    ['?since=now', {}, 'since'],
    ['?since=5', {}, 'since'],
    ['?since=2026-01-01', {}, 'since'],
    ['?tenant=x', {}, 'tenant'],
    ['', { 'last-event-id': 'yesterday' }, 'Last-Event-ID'],
  ] as const) {
    const response = await gateway.call('GET', `/v1/events${query}`, undefined, headers)
    assert.deepEqual([response.statusCode, response.json().errors[0].path], [422, path])
  }
})

test('the stream of events is the one that is meant', async () => {
  const { created } = await (await gateway.bus.manager()).streams.info(EVENT_STREAM)
  const begin = (await (await listen()).next())?.id ?? ''
  assert.equal(Number.parseInt(begin.split('-')[0] ?? '', 36), Date.parse(created))
})
