import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { connectService } from '#bus/bus.ts'
import { Event } from '#bus/messages/event.ts'
import { eventSubject } from '#bus/subjects.ts'
import { createLog } from '#core/service/log.ts'
import type { ClaimedJob } from '#store/claims.ts'
import { type Cable, startCable } from '../../harness/cable.ts'
import { type EventStream, messageOf, openEvents, type StreamEvent } from '../../harness/event-stream.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { archiveLog, end, line, publishLog } from '../../harness/log-writer.ts'
import { testServices } from '../../harness/services.ts'

let gateway: TestGateway
let address: string
before(async () => {
  gateway = await startGateway()
  address = await gateway.listen()
})
after(() => gateway.stop())

const spec = { priority: 100, retries: 1, backoff: { initialSeconds: 0 } }
const running = async (): Promise<ClaimedJob> => gateway.attempts.assign(await gateway.factory.job({ spec }))

const follow = (jobId: string, headers: Record<string, string> = {}): Promise<EventStream> =>
  openEvents(`${address}/v1/jobs/${jobId}/logs?follow=true`, { authorization: `Bearer ${gateway.key}`, ...headers })

const isEnd = ({ event }: StreamEvent) => event === 'end'
const isLog = ({ event }: StreamEvent) => event === 'log'
const idsOf = (events: readonly StreamEvent[]) => events.filter(isLog).map(({ id }) => messageOf(id))

/** What the scheduler's relay does after each change. */
function hint(jobId: string): void {
  const { accountId, projectId } = gateway.factory
  const event = {
    specversion: '1.0',
    id: '1',
    source: '/',
    type: 'rgrid.job.changed',
    subject: jobId,
    time: '',
    datacontenttype: 'application/json',
    data: {},
  } as const
  gateway.bus.publish(eventSubject(accountId, projectId, jobId), Event, event)
}

test('a job is followed from the queue to its end: status, log, end', async () => {
  const jobId = await gateway.factory.job({ spec })
  const stream = await follow(jobId)
  assert.deepEqual((await stream.next())?.data, { state: 'queued', reason: 'waiting: no scheduler is at work', attempt: 0 })
  const job = await gateway.attempts.assign(jobId)
  hint(jobId)
  const assigned = await stream.next()
  assert.deepEqual([assigned?.event, assigned?.data.state, assigned?.data.attempt], ['status', 'running', 1])
  await publishLog(gateway.bus, job, [line(1)])
  const first = await stream.next()
  assert.deepEqual([first?.event, messageOf(first?.id), first?.data], ['log', '1.1', { attempt: 1, ...line(1) }])
  await publishLog(gateway.bus, job, [line(2), end(3)])
  await gateway.attempts.finish(job, { logSeq: 3 })
  hint(jobId)
  const last = await stream.until(isEnd)
  assert.deepEqual(idsOf(last), ['1.2'])
  assert.deepEqual(last.at(-1)?.data, { state: 'succeeded', cause: 'exit', exitCode: 0, message: null, warnings: [] })
  assert.equal(await stream.next(), undefined)
})

test('a line is shown when it is published: no look again lies between', async () => {
  const job = await running()
  const stream = await follow(job.jobId)
  await publishLog(gateway.bus, job, [line(1)])
  await stream.until(isLog)
  const times: number[] = []
  for (let seq = 2; seq <= 21; seq++) {
    const started = performance.now()
    await publishLog(gateway.bus, job, [line(seq)])
    await stream.next()
    times.push(performance.now() - started)
  }
  times.sort((a, b) => a - b)
  // The shortest pause of a follower is 300 ms. How quick it is `npm run bench:logs` says.
  assert.ok((times[10] ?? Number.POSITIVE_INFINITY) < 250, `median ${times[10]} ms`)
  stream.close()
})

test('a follower that comes back with Last-Event-ID misses nothing and sees nothing twice', async () => {
  const job = await running()
  await publishLog(gateway.bus, job, [line(1), line(2), line(3)])
  const before = await follow(job.jobId)
  assert.deepEqual(idsOf(await before.until(({ id }) => messageOf(id) === '1.2')), ['1.1', '1.2'])
  before.close()
  await publishLog(gateway.bus, job, [line(4), end(5)])
  await gateway.attempts.finish(job, { logSeq: 5 })
  const stream = await follow(job.jobId, { 'last-event-id': '1.2' })
  assert.deepEqual(idsOf(await stream.until(isEnd)), ['1.3', '1.4'])
})

test('one that comes back reads on from where it was in the stream, and from the beginning when the stream is another', async () => {
  const job = await running()
  await publishLog(gateway.bus, job, [line(1), line(2)])
  const before = await follow(job.jobId)
  const id = (await before.until(({ id }) => messageOf(id) === '1.2')).at(-1)?.id as string
  before.close()
  assert.match(id, /^1\.2\.\d+$/)
  await publishLog(gateway.bus, job, [line(3), end(4)])
  await gateway.attempts.finish(job, { logSeq: 4 })
  const comeBack = async (position: string) => idsOf(await (await follow(job.jobId, { 'last-event-id': position })).until(isEnd))
  assert.deepEqual(await comeBack(id), ['1.3'])
  assert.deepEqual(await comeBack('1.2.999999999999'), ['1.3'])
})

test('it goes on from one attempt to the next', async () => {
  const first = await running()
  const stream = await follow(first.jobId)
  await publishLog(gateway.bus, first, [line(1), end(2)])
  await gateway.attempts.finish(first, { exitCode: 1, logSeq: 2 })
  const second = await gateway.attempts.assign(first.jobId)
  hint(first.jobId)
  await publishLog(gateway.bus, second, [line(1), end(2)])
  await gateway.attempts.finish(second, { exitCode: 1, logSeq: 2 })
  const events = await stream.until(isEnd)
  assert.deepEqual(idsOf(events), ['1.1', '2.1'])
  assert.deepEqual([events.at(-1)?.data.state, events.at(-1)?.data.exitCode], ['failed', 1])
})

test('an ended job is followed out of its archive, to its end, at once', async () => {
  const job = await running()
  await archiveLog(gateway.objects, gateway.factory, job, [line(1), line(2), end(3)])
  await gateway.attempts.finish(job, { logSeq: 3, logArchived: true })
  const times: number[] = []
  for (let n = 0; n < 5; n++) {
    const started = performance.now()
    assert.deepEqual(idsOf(await (await follow(job.jobId)).until(isEnd)), ['1.1', '1.2'])
    assert.deepEqual(idsOf(await (await follow(job.jobId, { 'last-event-id': '1.1' })).until(isEnd)), ['1.2'])
    times.push(performance.now() - started)
  }
  // A pause of the follower would be in each of them.
  assert.ok(Math.min(...times) < 1500, `${times} ms`)
})

test('what the bus did not bring comes out of the archive', async () => {
  const job = await running()
  const stream = await follow(job.jobId)
  await publishLog(gateway.bus, job, [line(1), line(3)])
  await stream.until(isLog)
  await archiveLog(gateway.objects, gateway.factory, job, [line(1), line(2), line(3), end(4)])
  await gateway.attempts.finish(job, { logSeq: 4, logArchived: true })
  hint(job.jobId)
  assert.deepEqual(idsOf(await stream.until(isEnd)), ['1.2', '1.3'])
})

test('a log that is no longer kept is said to be so, and the end still comes', async () => {
  const job = await running()
  await gateway.attempts.finish(job, { logSeq: 4, logArchived: true })
  const events = await (await follow(job.jobId)).until(isEnd)
  const [chunk] = events.find(isLog)?.data.chunks ?? []
  assert.equal(chunk.stream, 'system')
  assert.match(chunk.text, /no longer kept/)
})

test('an attempt that was lost ends without its end, and what is missing of its log is said', async () => {
  const job = await running()
  const stream = await follow(job.jobId)
  await publishLog(gateway.bus, job, [line(1), line(3)])
  await stream.until(isLog)
  await gateway.attempts.finish(job, { cause: 'lost', exitCode: null })
  await gateway.call('POST', `/v1/jobs/${job.jobId}/cancel`)
  hint(job.jobId)
  const events = await stream.until(isEnd)
  const logs = events.filter(isLog)
  assert.deepEqual(
    logs.map(({ id, data }) => [messageOf(id), data.chunks[0].stream]),
    [
      ['1.1', 'system'],
      ['1.3', 'stdout'],
    ],
  )
  assert.match(logs[0]?.data.chunks[0].text, /missing here/)
  assert.equal(events.at(-1)?.data.state, 'cancelled')
})

test('a log that never rests does not hide that the job’s state changes', async () => {
  const job = await running()
  const stream = await follow(job.jobId)
  await stream.until(({ event }) => event === 'status')
  let seq = 0
  const pour = async () => {
    while (seq < 100_000) await publishLog(gateway.bus, job, [line(++seq)])
  }
  const pouring = pour()
  await gateway.call('POST', `/v1/jobs/${job.jobId}/cancel`)
  const events = await stream.until(({ event, data }) => event === 'status' && data.reason === 'cancelling')
  seq = 100_000
  await pouring
  assert.ok(idsOf(events).length > 0)
  stream.close()
})

test('a bus that goes away and comes back leaves no gap', async () => {
  const services = testServices()
  const cable: Cable = await startCable(services.natsUrl)
  const log = createLog('test', 'silent')
  const bus = await connectService({ name: 'cut', url: cable.through(services.natsUrl), credsFile: `${services.natsTrustDir}/gateway.creds`, log })
  const cut = await startGateway({ bus })
  try {
    const jobId = await cut.factory.job({ spec })
    const job = await cut.attempts.assign(jobId)
    const stream = await openEvents(`${await cut.listen()}/v1/jobs/${jobId}/logs?follow=true`, { authorization: `Bearer ${cut.key}` })
    await publishLog(cut.bus, job, [line(1)])
    await stream.until(({ id }) => messageOf(id) === '1.1')
    cable.cut()
    await publishLog(cut.bus, job, [line(2), line(3)])
    cable.mend()
    await publishLog(cut.bus, job, [line(4)])
    assert.deepEqual(idsOf(await stream.until(({ id }) => messageOf(id) === '1.4')), ['1.2', '1.3', '1.4'])
    stream.close()
  } finally {
    await cut.stop()
    await bus.close()
    await cable.close()
  }
})
