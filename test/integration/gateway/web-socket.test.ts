import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, test } from 'node:test'
import { withDeadline } from '#core/service/time.ts'
import type { ClaimedJob } from '#store/claims.ts'
import { messageOf } from '../../harness/event-stream.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { end, line, publishLog } from '../../harness/log-writer.ts'

let gateway: TestGateway
let address: string
before(async () => {
  gateway = await startGateway()
  address = (await gateway.listen()).replace('http', 'ws')
})
after(() => gateway.stop())

const running = async (): Promise<ClaimedJob> => gateway.attempts.assign(await gateway.factory.job({ spec: { priority: 100 } }))

interface Frame {
  event: string
  id?: string
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever was sent
  data: any
}

/** Opens the log of a job and reads every frame until the socket closes; `heard` may close it. */
async function readFrames(path: string, heard: (frame: Frame, socket: WebSocket) => void = () => undefined): Promise<{ frames: Frame[]; code: number }> {
  // Node's client takes headers, other than a browser's.
  const socket = new WebSocket(`${address}${path}`, { headers: { authorization: `Bearer ${gateway.key}` } } as unknown as string[])
  const frames: Frame[] = []
  socket.addEventListener('message', ({ data }) => {
    const frame = JSON.parse(data as string) as Frame
    frames.push(frame)
    heard(frame, socket)
  })
  const { code } = (await withDeadline('the end of the socket', 30_000, async () => (await once(socket, 'close'))[0])) as CloseEvent
  return { frames, code }
}

test('a log is followed to its end: the same events as by server-sent events', async () => {
  const job = await running()
  await publishLog(gateway.bus, job, [line(1), line(2), end(3)])
  await gateway.attempts.finish(job, { logSeq: 3 })
  const { frames, code } = await readFrames(`/v1/jobs/${job.jobId}/logs/stream`)
  assert.equal(code, 1000)
  assert.deepEqual(
    frames.map(({ event, id }) => [event, messageOf(id)]),
    [
      ['status', undefined],
      ['log', '1.1'],
      ['log', '1.2'],
      ['end', undefined],
    ],
  )
  assert.deepEqual(frames[1]?.data, { attempt: 1, ...line(1) })
})

test('it goes on behind the event that is named, and takes the same choices', async () => {
  const job = await running()
  await publishLog(gateway.bus, job, [line(1), line(2), line(3), end(4)])
  await gateway.attempts.finish(job, { logSeq: 4 })
  const idsOf = async (query: string) => (await readFrames(`/v1/jobs/${job.jobId}/logs/stream?${query}`)).frames.flatMap(({ id }) => messageOf(id) ?? [])
  assert.deepEqual(await idsOf('after=1.1'), ['1.2', '1.3'])
  assert.deepEqual(await idsOf('stream=stderr'), [])
  assert.deepEqual(await idsOf('tail=1'), ['1.3', '1.4'])
})

test('a reader that leaves is let go, one that is there when the gateway stops is told to connect again', async () => {
  const other = await startGateway()
  try {
    const url = (await other.listen()).replace('http', 'ws')
    const jobId = await other.factory.job()
    const open = () => new WebSocket(`${url}/v1/jobs/${jobId}/logs/stream`, { headers: { 'x-rgrid-key': other.key } } as unknown as string[])
    const leaver = open()
    await once(leaver, 'message')
    leaver.close()
    await once(leaver, 'close')
    const reader = open()
    await once(reader, 'message')
    const closed = once(reader, 'close')
    await other.app.close()
    assert.equal(((await closed)[0] as CloseEvent).code, 1012)
  } finally {
    await other.stop()
  }
})

test('what is wrong is answered before the protocol is changed', async () => {
  const job = await running()
  const path = `/v1/jobs/${job.jobId}/logs/stream`
  const statusOf = async (url: string, headers: Record<string, string>) => {
    const response = await fetch(`${address.replace('ws', 'http')}${url}`, { headers })
    return [response.status, ((await response.json()) as { code: string }).code]
  }
  const key = { 'x-rgrid-key': gateway.key }
  assert.deepEqual(await statusOf(path, key), [400, 'bad_request'])
  assert.deepEqual(await statusOf(path, {}), [401, 'unauthenticated'])
  assert.deepEqual(await statusOf('/v1/jobs/job_none/logs/stream', key), [404, 'not_found'])
  assert.deepEqual(await statusOf(`${path}?tail=x`, key), [422, 'validation'])
  // Nor is it changed for a stranger.
  await once(new WebSocket(`${address}${path}`), 'error')
})
