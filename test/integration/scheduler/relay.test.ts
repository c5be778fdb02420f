import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { pino } from 'pino'
import { sql } from 'slonik'
import type { Bus } from '#bus/bus.ts'
import { decode } from '#bus/codec.ts'
import { Event } from '#bus/messages/event.ts'
import { EVENT_STREAM } from '#bus/streams.ts'
import { eventSubject } from '#bus/subjects.ts'
import { newId } from '#core/ids.ts'
import { type NewEvent, readOutbox, recordEvents } from '#store/events.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createRelay } from '../../../scheduler/relay.ts'
import { serviceBus } from '../../harness/bus.ts'
import { createTestDatabase, type TestDatabase } from '../../harness/database.ts'

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
