import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { sql } from 'slonik'
import type { ClaimedJob } from '#store/claims.ts'
import { messageOf, openEvents, type StreamEvent } from '../../harness/event-stream.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { archiveLog, end, line, publishLog } from '../../harness/log-writer.ts'

let gateway: TestGateway
let address: string
before(async () => {
  gateway = await startGateway()
  address = await gateway.listen()
})
after(() => gateway.stop())

const running = async (): Promise<ClaimedJob> =>
  gateway.attempts.assign(await gateway.factory.job({ spec: { priority: 100, retries: 1, backoff: { initialSeconds: 0 } } }))
const textOf = async (job: ClaimedJob, query: string) => (await gateway.call('GET', `/v1/jobs/${job.jobId}/logs?${query}`)).body
const follow = (jobId: string, query: string, headers = {}) =>
  openEvents(`${address}/v1/jobs/${jobId}/logs?follow=true&${query}`, { authorization: `Bearer ${gateway.key}`, ...headers })
const isEnd = ({ event }: StreamEvent) => event === 'end'
const textsOf = (events: readonly StreamEvent[]) =>
  events.filter(({ event }) => event === 'log').flatMap(({ data }) => data.chunks.map((chunk: { text: string }) => chunk.text))

const FIRST_MS = Date.parse('2026-01-01T00:00:00Z')
const HALVES = [
  { seq: 1, chunks: [{ stream: 'stdout' as const, at: FIRST_MS, text: 'one\ntw' }] },
  { seq: 2, chunks: [{ stream: 'stderr' as const, at: FIRST_MS + 1000, text: 'oops\n' }] },
  { seq: 3, chunks: [{ stream: 'stdout' as const, at: FIRST_MS + 2000, text: 'o\nthree' }] },
]

test('the last lines of a log, live and archived', async () => {
  const job = await running()
  await publishLog(gateway.bus, job, [line(1), line(2), line(3)])
  assert.equal(await textOf(job, 'tail=2'), 'line 2\nline 3\n')
  assert.equal(await textOf(job, 'tail=0'), '')
  await archiveLog(gateway.objects, gateway.factory, job, [line(1), line(2), line(3), end(4)])
  await gateway.attempts.finish(job, { logSeq: 4, logArchived: true })
  assert.equal(await textOf(job, 'tail=1'), 'line 3\n')
  const ndjson = await textOf(job, 'tail=1&format=ndjson')
  assert.deepEqual(JSON.parse(ndjson), { attempt: 1, ...line(3) })
})

test('what was written since a time, and the time before each line', async () => {
  const job = await running()
  await publishLog(gateway.bus, job, HALVES)
  assert.equal(await textOf(job, 'since=2026-01-01T00:00:01Z'), 'oops\no\nthree')
  assert.equal(
    await textOf(job, 'timestamps=true'),
    ['2026-01-01T00:00:00.000Z one', '2026-01-01T00:00:01.000Z oops', '2026-01-01T00:00:00.000Z two', '2026-01-01T00:00:02.000Z three', ''].join('\n'),
  )
  assert.equal(await textOf(job, 'timestamps=true&stream=stderr'), '2026-01-01T00:00:01.000Z oops\n')
})

test('a query that cannot be is refused by its field', async () => {
  const job = await running()
  for (const [query, path] of [
    ['tail=-1', 'tail'],
    ['tail=many', 'tail'],
    ['since=yesterday', 'since'],
    ['stream=all', 'stream'],
  ]) {
    const response = await gateway.call('GET', `/v1/jobs/${job.jobId}/logs?${query}`)
    assert.deepEqual([response.statusCode, response.json().errors[0].path], [422, path], query)
  }
  assert.equal((await gateway.call('GET', `/v1/jobs/${job.jobId}/logs?follow=true&timestamps=true`)).statusCode, 400)
})

test('a follower that wants the last lines gets them, and then everything', async () => {
  const job = await running()
  await publishLog(gateway.bus, job, [line(1), line(2), line(3)])
  const stream = await follow(job.jobId, 'tail=1')
  const events = await stream.until(({ data }) => data.chunks?.length === 0)
  assert.equal(messageOf(events.at(-1)?.id), '1.3')
  await publishLog(gateway.bus, job, [line(4), end(5)])
  await gateway.attempts.finish(job, { logSeq: 5 })
  events.push(...(await stream.until(isEnd)))
  assert.deepEqual(textsOf(events), ['line 3\n', 'line 4\n'])
})

test('a follower that wanted nothing of what was there comes back to where it was', async () => {
  const job = await running()
  await publishLog(gateway.bus, job, [line(1), line(2)])
  const stream = await follow(job.jobId, 'tail=0')
  const [id] = (await stream.until(({ event }) => event === 'log')).map((event) => event.id).slice(-1)
  stream.close()
  await publishLog(gateway.bus, job, [line(3), end(4)])
  await gateway.attempts.finish(job, { logSeq: 4 })
  const again = await (await follow(job.jobId, 'tail=0', { 'last-event-id': id })).until(isEnd)
  assert.deepEqual(textsOf(again), ['line 3\n'])
})

test('with a tail it begins with the latest attempt, without with the first', async () => {
  const first = await running()
  await publishLog(gateway.bus, first, [line(1, 'first\n'), end(2)])
  await gateway.attempts.finish(first, { exitCode: 1, logSeq: 2 })
  const second = await gateway.attempts.assign(first.jobId)
  await publishLog(gateway.bus, second, [line(1, 'second\n'), end(2)])
  await gateway.attempts.finish(second, { logSeq: 2 })
  assert.deepEqual(textsOf(await (await follow(first.jobId, 'tail=10')).until(isEnd)), ['second\n'])
  assert.deepEqual(textsOf(await (await follow(first.jobId, '')).until(isEnd)), ['first\n', 'second\n'])
})

test('a followed stream holds only what is wanted', async () => {
  const job = await running()
  await publishLog(gateway.bus, job, [...HALVES, end(4)])
  await gateway.attempts.finish(job, { logSeq: 4 })
  assert.deepEqual(textsOf(await (await follow(job.jobId, 'stream=stderr')).until(isEnd)), ['oops\n'])
  assert.deepEqual(textsOf(await (await follow(job.jobId, 'since=2026-01-01T00:00:02Z')).until(isEnd)), ['o\nthree'])
})

test('what is missing of a live copy is said where it is missing', async () => {
  const job = await running()
  await publishLog(gateway.bus, job, [line(3), line(4)])
  const batches = (await textOf(job, 'format=ndjson')).trimEnd().split('\n')
  const [first] = batches.map((batch) => JSON.parse(batch) as { chunks: { stream: string; text: string }[] })
  assert.deepEqual(
    first?.chunks.map(({ stream }) => stream),
    ['system', 'stdout'],
  )
  assert.match(first?.chunks[0]?.text ?? '', /missing here/)
  assert.equal(await textOf(job, 'stream=stdout'), 'line 3\nline 4\n')
})

for (const [what, gone] of [
  ['that may archive it yet', false],
  ['that has gone', true],
] as const) {
  test(`what is missing at the end of the log of a node ${what} is said, read and followed`, async () => {
    const job = await running()
    await publishLog(gateway.bus, job, [line(1), line(2)])
    await gateway.attempts.finish(job, { logSeq: 4 })
    if (gone) await gateway.admin.query(sql.unsafe`update nodes set state = 'gone' where id = ${job.nodeId}`)
    const said = gone ? /missing here for good/ : /can be read once its node has archived it/
    const batches = (await textOf(job, 'format=ndjson')).trimEnd().split('\n')
    assert.match(batches.at(-1) ?? '', said)
    assert.equal(await textOf(job, 'stream=stdout'), 'line 1\nline 2\n')
    for (const query of ['', 'tail=5']) {
      const texts = textsOf(await (await follow(job.jobId, query)).until(isEnd))
      assert.deepEqual(texts.slice(0, 2), ['line 1\n', 'line 2\n'])
      assert.match(texts[2] ?? '', said)
      assert.equal(texts.length, 3)
    }
  })
}

test('of the log of a node that has gone nothing is said when the bus has the whole of it', async () => {
  const job = await running()
  await publishLog(gateway.bus, job, [line(1), end(2)])
  await gateway.attempts.finish(job, { logSeq: 2 })
  await gateway.admin.query(sql.unsafe`update nodes set state = 'gone' where id = ${job.nodeId}`)
  assert.equal((await textOf(job, 'format=ndjson')).trimEnd().split('\n').length, 1)
  assert.deepEqual(textsOf(await (await follow(job.jobId, '')).until(isEnd)), ['line 1\n'])
})
