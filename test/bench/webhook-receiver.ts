import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parentPort } from 'node:worker_threads'

/** The receiver of test/bench/webhooks.ts, in a thread of its own: told how many to count below /ok, answers when each came. */
let wanted = 0
let came: { atMs: number; eventMs: number }[] = []

const server = createServer(async (request, response) => {
  const atMs = Date.now()
  const chunks: Buffer[] = []
  for await (const chunk of request) chunks.push(chunk as Buffer)
  const kind = request.url?.split('/')[1]
  if (kind === 'hang') return
  response.writeHead(204).end()
  if (kind !== 'ok') return
  const { timestamp } = JSON.parse(Buffer.concat(chunks).toString('utf8')) as { timestamp: string }
  came.push({ atMs, eventMs: Date.parse(timestamp) })
  if (came.length === wanted) parentPort?.postMessage(came)
})
parentPort?.on('message', (count: number) => {
  wanted = count
  came = []
})
server.listen(0, '127.0.0.1', () => parentPort?.postMessage((server.address() as AddressInfo).port))
