import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import { LogBatch } from '#core/api.ts'
import type { ClaimedJob } from '#store/claims.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { archiveLog, end, line, publishLog } from '../../harness/log-writer.ts'

let gateway: TestGateway
before(async () => {
  gateway = await startGateway()
})
after(() => gateway.stop())

async function running(): Promise<ClaimedJob> {
  return gateway.attempts.assign(await gateway.factory.job({ spec: { priority: 100, retries: 1, backoff: { initialSeconds: 0 } } }))
}

const logOf = async (job: ClaimedJob, query = '', headers = {}) => gateway.call('GET', `/v1/jobs/${job.jobId}/logs${query}`, undefined, headers)

test('a job that has not run has an empty log', async () => {
  const response = await gateway.call('GET', `/v1/jobs/${await gateway.factory.job()}/logs`)
  assert.deepEqual([response.statusCode, response.body], [200, ''])
})

test('what a running job has written so far is its log, byte for byte, without what the system says', async () => {
  const job = await running()
  await publishLog(gateway.bus, job, [
    { seq: 1, chunks: [{ stream: 'system', at: 1, text: 'starting\n' }] },
    {
      seq: 2,
      chunks: [
        { stream: 'stdout', at: 2, text: 'out é\n' },
        { stream: 'stderr', at: 3, text: 'err\n' },
      ],
    },
    { seq: 3, chunks: [{ stream: 'stdout', at: 4, base64: '//4A' }] },
  ])
  const response = await logOf(job)
  assert.equal(response.headers['content-type'], 'text/plain; charset=utf-8')
  assert.deepEqual(response.rawPayload, Buffer.concat([Buffer.from('out é\nerr\n'), Buffer.from([0xff, 0xfe, 0])]))
  assert.deepEqual((await logOf(job, '?stream=stdout')).rawPayload, Buffer.concat([Buffer.from('out é\n'), Buffer.from([0xff, 0xfe, 0])]))
  assert.equal((await logOf(job, '?stream=stderr')).body, 'err\n')
  assert.equal((await logOf(job, '?stream=system')).body, 'starting\n')
})

test('as NDJSON each line is a batch', async () => {
  const job = await running()
  await publishLog(gateway.bus, job, [line(1), line(2), end(3)])
  for (const response of [await logOf(job, '?format=ndjson'), await logOf(job, '', { accept: 'application/x-ndjson' })]) {
    assert.equal(response.headers['content-type'], 'application/x-ndjson')
    const batches: unknown[] = response.body
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text))
    for (const batch of batches) assert.ok(Value.Check(LogBatch, batch))
    assert.deepEqual(batches, [
      { attempt: 1, ...line(1) },
      { attempt: 1, ...line(2) },
    ])
  }
})

test('repeats and pieces that came late are put in order', async () => {
  const job = await running()
  for (const seq of [1, 2, 4, 5, 3, 4, 5, 6, 6]) await publishLog(gateway.bus, job, [line(seq)])
  assert.equal((await logOf(job)).body, [1, 2, 3, 4, 5, 6].map((seq) => `line ${seq}\n`).join(''))
})

test('a message of a node that is no log message is passed by', async () => {
  const job = await running()
  await publishLog(gateway.bus, job, [line(1)])
  await gateway.bus.jetstream.publish(`rgrid.logs.${job.nodeId}.${job.attemptId}`, Buffer.from('{"seq":"x"}'))
  assert.equal((await logOf(job)).body, 'line 1\n')
  await publishLog(gateway.bus, job, [line(2)])
  assert.equal((await logOf(job)).body, 'line 1\nline 2\n')
})

test('once archived the log comes from the object store', async () => {
  const job = await running()
  await archiveLog(gateway.objects, gateway.factory, job, [line(1, 'from the archive\n'), end(2)])
  await publishLog(gateway.bus, job, [line(1, 'from the stream\n')])
  assert.equal((await logOf(job)).body, 'from the stream\n')
  await gateway.attempts.finish(job, { logSeq: 2, logArchived: true })
  assert.equal((await logOf(job)).body, 'from the archive\n')
})

test('an archive that is no longer kept is 410, and not an empty log', async () => {
  const job = await running()
  await gateway.attempts.finish(job, { logSeq: 2, logArchived: true })
  const response = await logOf(job)
  assert.equal(response.statusCode, 410)
  assert.equal(response.json().code, 'gone')
})

test('each attempt has its log; the latest is the one without being asked', async () => {
  const first = await running()
  await publishLog(gateway.bus, first, [line(1, 'first\n')])
  await gateway.attempts.finish(first, { exitCode: 1, logSeq: 1 })
  const second = await gateway.attempts.assign(first.jobId)
  await publishLog(gateway.bus, second, [line(1, 'second\n')])
  assert.equal((await logOf(first)).body, 'second\n')
  assert.equal((await logOf(first, '?attempt=1')).body, 'first\n')
  const response = await logOf(first, '?attempt=3')
  assert.deepEqual([response.statusCode, response.json().code], [404, 'not_found'])
})
