import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { pino } from 'pino'
import { sql } from 'slonik'
import { type Bus, connectService } from '#bus/bus.ts'
import { decode } from '#bus/codec.ts'
import { tailEvents } from '#bus/event-tail.ts'
import { Event } from '#bus/messages/event.ts'
import { EVENT_STREAM } from '#bus/streams.ts'
import { eventSubject, projectEventsSubject } from '#bus/subjects.ts'
import { newId } from '#core/ids.ts'
import { type NewEvent, readOutbox, recordEvents } from '#store/events.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createRelay } from '../../../scheduler/relay.ts'
import { serviceBus } from '../../harness/bus.ts'
import { startCable } from '../../harness/cable.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'
import { testServices } from '../../harness/services.ts'

const log = pino({ level: 'silent' })
let database: TestDatabase
let db: DatabasePool
let bus: Bus

before(async () => {
  database = await createTestDatabase()
  db = await createDbPool(database.schedulerUrl)
  bus = await serviceBus()
})
after(async () => {
  await bus.close()
  await db.end()
  await database.drop()
})

function eventsOf(accountId: string, jobId: string, types: string[]): NewEvent[] {
  return types.map((type) => ({ accountId, projectId: 'proj_x', batchId: null, jobId, type, data: {} }))
}

/** Reads what a job's subject has in the stream until `count` messages came. */
async function read(accountId: string, jobId: string, count: number): Promise<Event[]> {
  const consumer = await bus.jetstream.consumers.get(EVENT_STREAM, { filterSubjects: eventSubject(accountId, 'proj_x', jobId) })
  const messages = await consumer.consume()
  const events: Event[] = []
  for await (const message of messages) {
    events.push(decode(Event, message.data))
    if (events.length === count) break
  }
  await messages.close()
  return events
}

test('events reach the stream in order, and leave the outbox', async () => {
  const [account, job] = [newId('account'), newId('job')]
  const types = Array.from({ length: 700 }, (_, i) => `job.step${i}`)
  await db.transaction((tx) => recordEvents(tx, eventsOf(account, job, types)))
  const relay = createRelay(db, bus, log, () => true)
  await relay.start()
  const events = await read(account, job, types.length)
  await relay.stop()
  assert.deepEqual(
    events.map((event) => event.type),
    types.map((type) => `rgrid.${type}`),
  )
  assert.equal(events[0]?.subject, job)
  assert.equal(await db.oneFirst(sql.unsafe`select count(*)::int from outbox`), 0)
})

test('an event whose transaction is still open is not passed by', async () => {
  const [account, job] = [newId('account'), newId('job')]
  const [early, late] = eventsOf(account, job, ['job.early', 'job.late']) as [NewEvent, NewEvent]
  const relay = createRelay(db, bus, log, () => true)
  const other = await createDbPool(database.schedulerUrl)
  const begun = Promise.withResolvers<void>()
  const commit = Promise.withResolvers<void>()
  const slow = other.transaction(async (tx) => {
    await recordEvents(tx, [early])
    begun.resolve()
    await commit.promise
  })
  await begun.promise
  // Commits first, though its id is the higher one.
  await db.transaction((tx) => recordEvents(tx, [late]))
  await relay.start()
  assert.deepEqual(await readOutbox(db, 10), [])
  commit.resolve()
  await slow
  await other.end()
  relay.kick()
  const events = await read(account, job, 2)
  await relay.stop()
  assert.deepEqual(
    events.map((event) => event.type),
    ['rgrid.job.early', 'rgrid.job.late'],
  )
})

test('who does not lead relays nothing', async () => {
  const [account, job] = [newId('account'), newId('job')]
  await db.transaction((tx) => recordEvents(tx, eventsOf(account, job, ['job.x'])))
  const relay = createRelay(db, bus, log, () => false)
  await relay.start()
  await relay.stop()
  assert.equal(await db.oneFirst(sql.unsafe`select count(*)::int from outbox`), 1)
})

test('of each job the events stand in the order in which they happened, however often the way to the bus breaks', async () => {
  const { natsUrl, natsTrustDir } = testServices()
  const cable = await startCable(natsUrl)
  const broken = await connectService({ name: 'scheduler', url: cable.through(natsUrl), credsFile: `${natsTrustDir}/scheduler.creds`, log })
  const account = newId('account')
  const jobs = Array.from({ length: 60 }, () => newId('job'))
  const types = Array.from({ length: 8 }, (_, i) => `job.step${i}`)
  for (const type of types)
    await db.transaction((tx) =>
      recordEvents(
        tx,
        jobs.flatMap((job) => eventsOf(account, job, [type])),
      ),
    )
  const relay = createRelay(db, broken, log, () => true)
  await relay.start()
  const tail = await tailEvents(bus, projectEventsSubject(account, 'proj_x'), { after: 0 })
  const heard = new Map<string, string[]>(jobs.map((job) => [job, []]))
  let count = 0
  for await (const { event } of tail.events) {
    heard.get(event.subject)?.push(event.type)
    if (++count === jobs.length * types.length) break
    if (count % 100 !== 0) continue
    cable.cut()
    setImmediate(() => cable.mend())
  }
  await tail.close()
  await relay.stop()
  for (const order of heard.values())
    assert.deepEqual(
      order,
      types.map((type) => `rgrid.${type}`),
    )
  await broken.close()
  await cable.close()
})
