import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { LogMessage } from '#bus/messages/log.ts'
import type { LogMatch, LogSearchSummary } from '#core/log-search-api.ts'
import { createApiKey, ensureProject } from '#store/bootstrap.ts'
import type { ClaimedJob } from '#store/claims.ts'
import { logKey } from '#store/objects.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { archiveLog, end, line } from '../../harness/log-writer.ts'

let gateway: TestGateway
before(async () => {
  gateway = await startGateway()
})
after(() => gateway.stop())

const STARTED_MS = Date.now() - 1000
const spec = { priority: 100, retries: 3, backoff: { initialSeconds: 0 } }

/** A job of a batch whose log is archived; one attempt for each log. */
async function withLogs(batchId: string, batchIndex: number, logs: readonly (readonly LogMessage[] | Buffer)[]): Promise<string> {
  const jobId = await gateway.factory.job({ spec, batchId, batchIndex })
  for (const [i, messages] of logs.entries()) {
    const job = await gateway.attempts.assign(jobId)
    if (Buffer.isBuffer(messages)) await putArchive(job, messages)
    else await archiveLog(gateway.objects, gateway.factory, job, messages)
    await gateway.attempts.finish(job, { exitCode: i + 1 < logs.length ? 1 : 0, logSeq: 1, logArchived: true, startedAtMs: STARTED_MS })
  }
  return jobId
}

async function putArchive(job: ClaimedJob, body: Buffer): Promise<void> {
  const { url, headers } = await gateway.objects.presignPut(logKey({ ...gateway.factory, jobId: job.jobId }, job.attemptId), body.length, 60)
  assert.ok((await fetch(url, { method: 'PUT', headers, body: new Uint8Array(body) })).ok)
}

interface Found {
  matches: LogMatch[]
  summary: LogSearchSummary['summary']
}

async function search(query: Record<string, string>): Promise<Found> {
  const response = await gateway.call('GET', `/v1/projects/default/logs?${new URLSearchParams(query)}`)
  assert.equal(response.statusCode, 200, response.body)
  const found = response.body
    .trimEnd()
    .split('\n')
    .map((text) => JSON.parse(text))
  return { matches: found.slice(0, -1), summary: found.at(-1).summary }
}

/** Asks again and again until there is no more. */
async function searchAll(query: Record<string, string>): Promise<LogMatch[]> {
  const all: LogMatch[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const { matches, summary }: Found = await search(cursor === '' ? query : { ...query, cursor })
    all.push(...matches)
    cursor = summary.nextCursor
  }
  return all
}

const linesOf = (matches: readonly LogMatch[]) => matches.map((match) => match.line)

test('lines are found in the logs of a batch, in its order, of every attempt, also over the borders of messages', async () => {
  const batchId = await gateway.factory.batch({ size: 3 })
  const broken: LogMessage[] = [
    { seq: 1, chunks: [{ stream: 'stdout', at: 5, text: 'a nee' }] },
    {
      seq: 2,
      chunks: [
        { stream: 'stderr', at: 6, text: 'needle on stderr\n' },
        { stream: 'stdout', at: 7, text: 'dle\nno more' },
      ],
    },
    end(3),
  ]
  await withLogs(batchId, 0, [[line(1, 'nothing\n'), end(2)]])
  const second = await withLogs(batchId, 1, [[line(1, 'needle in the first\n')], broken])
  await withLogs(batchId, 2, [[line(1, 'the last needle'), end(2)]])
  const { matches, summary } = await search({ query: 'needle', batch: batchId })
  assert.deepEqual(linesOf(matches), ['needle in the first', 'needle on stderr', 'a needle', 'the last needle'])
  assert.deepEqual(matches[2], { jobId: second, name: null, batchIndex: 1, attempt: 2, stream: 'stdout', at: 5, line: 'a needle' })
  assert.deepEqual([summary.scannedJobs, summary.matches, summary.nextCursor], [3, 4, null])
  assert.deepEqual(linesOf((await search({ query: 'NEEDLE', batch: batchId, ignoreCase: 'true', stream: 'stderr' })).matches), ['needle on stderr'])
  assert.deepEqual((await search({ query: 'NEEDLE', batch: batchId })).matches, [])
})

test('a search that is limited goes on exactly where it ended, also within a log', async () => {
  const batchId = await gateway.factory.batch({ size: 4 })
  const expected: string[] = []
  for (let index = 0; index < 4; index++) {
    const texts = Array.from({ length: 5 }, (_, i) => `hit ${index}.${i}`)
    expected.push(...texts)
    await withLogs(batchId, index, [texts.map((text, i) => line(i + 1, `${text}\n`))])
  }
  for (const limit of ['1', '3', '5', '20', '21'])
    assert.deepEqual(linesOf(await searchAll({ query: 'hit', batch: batchId, limit })), expected, `limit ${limit}`)
})

test('without a batch the jobs of the last day are searched, the newest first; or those of a range', async () => {
  const batchId = await gateway.factory.batch({ size: 2 })
  const [older, newer] = [await withLogs(batchId, 0, [[line(1, 'by time\n')]]), await withLogs(batchId, 1, [[line(1, 'by time\n')]])]
  assert.deepEqual(
    (await search({ query: 'by time' })).matches.map(({ jobId }) => jobId),
    [newer, older],
  )
  assert.equal((await search({ query: 'by time', since: '2020-01-01T00:00:00Z', until: '2021-01-01T00:00:00Z' })).matches.length, 0)
})

test('what is not searched is said', async () => {
  const batchId = await gateway.factory.batch({ size: 2 })
  await withLogs(batchId, 0, [[line(1, 'hit\n')]])
  const job = await gateway.attempts.assign(await gateway.factory.job({ spec, batchId, batchIndex: 1 }))
  await gateway.attempts.finish(job, { startedAtMs: STARTED_MS })
  const { matches, summary } = await search({ query: 'hit', batch: batchId })
  assert.deepEqual([matches.length, summary.notArchived], [1, 1])
})

test('an archive that lies ends only the search of itself', async () => {
  const batchId = await gateway.factory.batch({ size: 6 })
  const good = `${JSON.stringify(line(1, 'hit before\n'))}\n`
  await withLogs(batchId, 0, [Buffer.from('no gzip at all')])
  await withLogs(batchId, 1, [gzipSync(`${good}not json\n`)])
  await withLogs(batchId, 2, [gzipSync(Buffer.alloc(64 * 2 ** 20))])
  await withLogs(batchId, 3, [gzipSync(good).subarray(0, -10)])
  await withLogs(batchId, 4, [gzipSync(`${JSON.stringify({ seq: 1, chunks: [{ stream: 'stdout', at: 1, text: 7 }] })}\n`)])
  await withLogs(batchId, 5, [[line(1, 'hit after\n')]])
  const { matches, summary } = await search({ query: 'hit', batch: batchId })
  assert.ok(linesOf(matches).includes('hit after'))
  assert.equal(summary.unreadable, 5)
})

test('of a long line what is around the match is shown', async () => {
  const batchId = await gateway.factory.batch({ size: 1 })
  await withLogs(batchId, 0, [[line(1, `${'a'.repeat(20_000)}needle${'b'.repeat(20_000)}\n`)]])
  const [match] = (await search({ query: 'needle', batch: batchId })).matches
  assert.match(match?.line ?? '', /^…a+needleb+…$/)
  assert.ok((match?.line.length ?? 0) <= 4098)
})

test('another project finds nothing, and wrong queries are refused by their field', async () => {
  const batchId = await gateway.factory.batch({ size: 1 })
  await withLogs(batchId, 0, [[line(1, 'a secret of ours\n')]])
  const key = await createApiKey(gateway.admin, await ensureProject(gateway.admin, 'other', 'other'), 'test')
  const headers = { authorization: `Bearer ${key}` }
  for (const path of ['default/logs?query=secret', `other/logs?query=secret&batch=${batchId}`])
    assert.equal((await gateway.call('GET', `/v1/projects/${path}`, undefined, headers)).statusCode, 404)
  const theirs = await gateway.call('GET', '/v1/projects/other/logs?query=secret', undefined, headers)
  assert.equal(JSON.parse(theirs.body).summary.scannedJobs, 0)
  for (const [query, field] of [
    ['', 'query'],
    ['query=', 'query'],
    [`query=${'x'.repeat(257)}`, 'query'],
    ['query=x&limit=0', 'limit'],
    ['query=x&cursor=zzz', 'cursor'],
    ['query=x&since=now', 'since'],
  ]) {
    const response = await gateway.call('GET', `/v1/projects/default/logs?${query}`)
    assert.deepEqual([response.statusCode, response.json().errors[0].path], [422, field], query)
  }
})
