import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { test } from 'node:test'
import { sleep, withDeadline } from '#core/service/time.ts'
import { messageOf, openEvents } from '../../harness/event-stream.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { line, publishLog } from '../../harness/log-writer.ts'

async function withGateway(work: (gateway: TestGateway, address: string) => Promise<void>): Promise<void> {
  const gateway = await startGateway()
  try {
    await work(gateway, await gateway.listen())
  } finally {
    await gateway.stop()
  }
}

const WAYS = {
  'server-sent events': { path: 'logs?follow=true', headers: '' },
  'a WebSocket': {
    path: 'logs/stream',
    headers: 'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n',
  },
}

/** A reader that asks for the stream and then reads nothing. */
async function deafReader(gateway: TestGateway, address: string, jobId: string, way: keyof typeof WAYS): Promise<Socket> {
  const { hostname, port } = new URL(address)
  const { path, headers } = WAYS[way]
  const socket = connect(Number(port), hostname)
  await once(socket, 'connect')
  socket.write(`GET /v1/jobs/${jobId}/${path} HTTP/1.1\r\nHost: x\r\nX-RGrid-Key: ${gateway.key}\r\n${headers}\r\n`)
  await once(socket, 'data')
  return socket.pause()
}

test('a gateway that stops says so to its followers, and closes', () =>
  withGateway(async (gateway, address) => {
    const jobId = await gateway.factory.job()
    const stream = await openEvents(`${address}/v1/jobs/${jobId}/logs?follow=true`, { 'x-rgrid-key': gateway.key })
    assert.equal((await stream.next())?.event, 'status')
    const closed = gateway.app.close()
    // It is ended, not cut: a reader would hear that as an error.
    assert.equal(await stream.next(), undefined)
    assert.deepEqual(stream.comments, ['the gateway stops; connect again'])
    await closed
  }))

for (const way of Object.keys(WAYS) as (keyof typeof WAYS)[])
  test(`a reader that reads nothing over ${way} costs a bounded amount of memory, and does not keep a gateway from stopping`, () =>
    withGateway(async (gateway, address) => {
      const job = await gateway.attempts.assign(await gateway.factory.job())
      const text = 'x'.repeat(200_000)
      for (let seq = 1; seq <= 400; seq += 50)
        await publishLog(
          gateway.bus,
          job,
          Array.from({ length: 50 }, (_, i) => line(seq + i, text)),
        )
      const baseline = process.memoryUsage().rss
      const socket = await deafReader(gateway, address, job.jobId, way)
      // A second follower that reads all 80 MB shows that there was time enough to send them to the first one too.
      const reader = await openEvents(`${address}/v1/jobs/${job.jobId}/logs?follow=true`, { 'x-rgrid-key': gateway.key })
      await reader.until(({ id }) => messageOf(id) === '1.400')
      reader.close()
      assert.ok(socket.bytesRead < 20e6, `${socket.bytesRead} bytes were taken from the deaf reader's socket`)
      const grown = process.memoryUsage().rss - baseline
      const started = performance.now()
      await gateway.app.close()
      const closing = performance.now() - started
      socket.destroy()
      assert.ok(closing < 10_000, `${closing} ms`)
      assert.ok(grown < 400e6, `${grown} bytes`)
    }))

test('a follower that leaves is noticed, and its request is in the log like any other', () =>
  withGateway(async (gateway, address) => {
    const jobId = await gateway.factory.job()
    const stream = await openEvents(`${address}/v1/jobs/${jobId}/logs?follow=true`, { 'x-rgrid-key': gateway.key })
    await stream.next()
    stream.close()
    await withDeadline('the line in the log', 30_000, async (signal) => {
      while (!gateway.logged.some((text) => text.includes('/v1/jobs/:id/logs'))) await sleep(10, signal)
    })
  }))
