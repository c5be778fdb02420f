import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { pino } from 'pino'
import { type Bus, connectService } from '#bus/bus.ts'
import { Event } from '#bus/messages/event.ts'
import { EVENT_STREAM } from '#bus/streams.ts'
import { eventSubject, projectEventsSubject } from '#bus/subjects.ts'
import { newId } from '#core/ids.ts'
import { createApiKey } from '#store/bootstrap.ts'
import { recordEvents } from '#store/events.ts'
import { createDbPool } from '#store/pool.ts'
import { createRelay } from '../../../scheduler/relay.ts'
import { serviceBus } from '../../harness/bus.ts'
import { startCable } from '../../harness/cable.ts'
import { openEvents, type StreamEvent } from '../../harness/event-stream.ts'
import { startGateway } from '../../harness/gateway.ts'
import { testServices } from '../../harness/services.ts'

const log = pino({ level: 'silent' })
let bus: Bus
before(async () => {
  bus = await serviceBus()
})
after(() => bus.close())

const typeOf = ({ data }: StreamEvent) => data.type
const isType = (type: string) => (event: StreamEvent) => event.data.type === type

test('a bus that goes away and comes back leaves no gap', async () => {
  const { natsUrl, natsTrustDir } = testServices()
  const cable = await startCable(natsUrl)
  const cut = await connectService({ name: 'gateway', url: cable.through(natsUrl), credsFile: `${natsTrustDir}/gateway.creds`, log })
  const other = await startGateway({ bus: cut })
  try {
    const url = `${await other.listen()}/v1/events`
    const key = await createApiKey(other.admin, other.factory.projectId, 'test')
    const stream = await openEvents(url, { 'x-rgrid-key': key })
    await stream.next()
    const { accountId, projectId } = other.factory
    const jobId = newId('job')
    const say = (type: string) => ({ accountId, projectId, batchId: null, jobId, type, data: {} })
    const db = await createDbPool(other.schedulerUrl, 2)
    const sender = createRelay(db, bus, log, () => true)
    await sender.start()
    await db.transaction((tx) => recordEvents(tx, [say('job.submitted')]))
    assert.equal((await stream.next())?.data.type, 'rgrid.job.submitted')
    cable.cut()
    await db.transaction((tx) => recordEvents(tx, ['job.queued', 'job.assigned', 'job.started'].map(say)))
    sender.kick()
    cable.mend()
    const events = await stream.until(isType('rgrid.job.started'))
    assert.deepEqual(events.map(typeOf), ['rgrid.job.queued', 'rgrid.job.assigned', 'rgrid.job.started'])
    await sender.stop()
    await db.end()
  } finally {
    await other.stop()
    await cut.close()
    await cable.close()
  }
})

test('a bus that is away is said to be so, before the stream begins', async () => {
  const { natsUrl, natsTrustDir } = testServices()
  const cable = await startCable(natsUrl)
  const cut = await connectService({ name: 'gateway', url: cable.through(natsUrl), credsFile: `${natsTrustDir}/gateway.creds`, log })
  const other = await startGateway({ bus: cut })
  try {
    cable.cut()
    const response = await other.call('GET', '/v1/events')
    assert.deepEqual([response.statusCode, response.json().code], [503, 'unavailable'])
    cable.mend()
  } finally {
    await other.stop()
    await cut.close()
    await cable.close()
  }
})

test('one that listens when the gateway stops is told to connect again, and hears the end', async () => {
  const other = await startGateway()
  const stream = await openEvents(`${await other.listen()}/v1/events`, { authorization: `Bearer ${other.key}` })
  assert.equal((await stream.next())?.event, 'ready')
  const ended = stream.next()
  await other.stop()
  assert.equal(await ended, undefined)
  assert.match(stream.comments.at(-1) ?? '', /connect again/)
})

test('one that does not read is waited for, and slows nobody', async () => {
  const other = await startGateway()
  const { accountId, projectId } = other.factory
  const url = new URL(await other.listen())
  const idle = connect(Number(url.port), url.hostname)
  try {
    idle.write(`GET /v1/events HTTP/1.1\r\nhost: ${url.host}\r\nx-rgrid-key: ${other.key}\r\n\r\n`)
    await once(idle, 'readable')
    const reader = await openEvents(`${url.href}v1/events`, { 'x-rgrid-key': other.key })
    await reader.next()
    const COUNT = 10_000
    const before = other.bus.connection.stats().inMsgs
    const pad = 'x'.repeat(4000)
    const head = { specversion: '1.0', source: '/', type: 'rgrid.job.queued', subject: 'job_x', time: new Date().toISOString() } as const
    for (let i = 0; i < COUNT; i++)
      bus.publish(eventSubject(accountId, projectId, 'job_x'), Event, { ...head, id: String(i), datacontenttype: 'application/json', data: { pad } })
    for (let i = 0; i < COUNT; i++) assert.equal((await reader.next())?.data.id, String(i))
    reader.close()
    // 40 MB are for each: of those for the one that does not read no more came than fits the buffers of its connection.
    const received = other.bus.connection.stats().inMsgs - before
    assert.ok(received < COUNT * 1.6, `${received} messages came for ${COUNT} that were read`)
  } finally {
    idle.destroy()
    await (await bus.manager()).streams.purge(EVENT_STREAM, { filter: projectEventsSubject(accountId, projectId) })
    await other.stop()
  }
})
