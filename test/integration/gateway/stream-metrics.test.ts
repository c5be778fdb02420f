import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { createMetrics } from '#core/service/metrics.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { end, line, publishLog } from '../../harness/log-writer.ts'
import { readMetrics } from '../../harness/scrape.ts'

const metrics = createMetrics()
let gateway: TestGateway
let address: string

before(async () => {
  gateway = await startGateway({ metrics })
  address = await gateway.listen()
})
after(() => gateway.stop())

async function until(...series: [string, number | undefined][]): Promise<void> {
  for (const limit = AbortSignal.timeout(30_000); ; ) {
    const { value } = readMetrics(await metrics.render())
    if (series.every(([name, wanted]) => value(name) === wanted)) return
    assert.ok(!limit.aborted, JSON.stringify(series.map(([name]) => [name, value(name)])))
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('readers over both transports are counted while they are there, and what they are sent', async () => {
  const job = await gateway.attempts.assign(await gateway.factory.job())
  await publishLog(gateway.bus, job, [line(1, 'ab\n')])
  const url = `${address}/v1/jobs/${job.jobId}/logs`
  const gone = new AbortController()
  const sse = await fetch(`${url}?follow=true`, { headers: { authorization: `Bearer ${gateway.key}` }, signal: gone.signal })
  const socket = new WebSocket(`${url.replace('http', 'ws')}/stream`, { headers: { authorization: `Bearer ${gateway.key}` } } as never)
  const OPEN_SSE = 'rgrid_streams_open{transport="sse",route="/v1/jobs/:id/logs"}'
  const OPEN_SOCKET = 'rgrid_streams_open{transport="websocket",route="/v1/jobs/:id/logs/stream"}'
  await until([OPEN_SSE, 1], [OPEN_SOCKET, 1], ['rgrid_http_requests_in_flight', 2], ['rgrid_log_followed_batches_total', 2])
  await until(['rgrid_log_followed_bytes_total', 6], ['rgrid_log_missing_parts_total', 0])
  gone.abort()
  await until([OPEN_SSE, 0], [OPEN_SOCKET, 1], ['rgrid_http_requests_in_flight', 1])
  // A number is missing: the reader is told, and that is counted.
  await publishLog(gateway.bus, job, [line(3, 'cd\n'), end(4)])
  await gateway.attempts.finish(job, { logSeq: 4 })
  await until(['rgrid_log_missing_parts_total', 1])
  socket.close()
  await until([OPEN_SOCKET, 0], ['rgrid_http_requests_in_flight', 0])
  assert.equal(sse.status, 200)
})
