import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type Bus, connectService } from '#bus/bus.ts'
import { orderedTail, READ_AHEAD, StreamGapError } from '#bus/ordered-tail.ts'
import { LOG_STREAM } from '#bus/streams.ts'
import { logSubject } from '#bus/subjects.ts'
import { newId } from '#core/ids.ts'
import { createLog } from '#core/service/log.ts'
import { sleep, withDeadline } from '#core/service/time.ts'
import { serviceBus } from '../../harness/bus.ts'
import { startCable } from '../../harness/cable.ts'
import { testServices } from '../../harness/services.ts'

let bus: Bus
before(async () => {
  bus = await serviceBus()
})
after(() => bus.close())

/** Puts numbered messages on a subject of its own. */
async function publish(subject: string, first: number, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, (_, i) => bus.jetstream.publish(subject, Buffer.from(`${first + i}`))))
}

async function consumersOf(subject: string) {
  const found = []
  for await (const info of (await bus.manager()).consumers.list(LOG_STREAM)) if (info.config.filter_subject === subject) found.push(info)
  return found
}

async function take(messages: AsyncIterator<{ string(): string }>, count: number): Promise<number[]> {
  const numbers: number[] = []
  while (numbers.length < count) numbers.push(Number((await withDeadline('a message', 60_000, () => messages.next())).value.string()))
  return numbers
}

const range = (first: number, count: number) => Array.from({ length: count }, (_, i) => first + i)

test('a reader that does not read leaves what it has not read to the server', async () => {
  const subject = logSubject('node_x', newId('attempt'))
  await publish(subject, 1, 5000)
  const tail = await orderedTail(bus, LOG_STREAM, subject, { after: 0 })
  const messages = tail.messages[Symbol.asyncIterator]()
  assert.deepEqual(await take(messages, 1), [1])
  // Time enough to send all of them.
  await publish(subject, 5001, 1000)
  const [consumer] = await consumersOf(subject)
  assert.ok((consumer?.num_pending ?? 0) >= 6000 - 3 * READ_AHEAD, `${consumer?.num_pending} of 6000 are left`)
  assert.deepEqual(await take(messages, 5999), range(2, 5999))
  await tail.close()
  assert.deepEqual(await consumersOf(subject), [])
})

test('it goes on behind the last message when its consumer has gone', async () => {
  const subject = logSubject('node_x', newId('attempt'))
  await publish(subject, 1, 300)
  const tail = await orderedTail(bus, LOG_STREAM, subject, { after: 0 })
  const messages = tail.messages[Symbol.asyncIterator]()
  assert.deepEqual(await take(messages, 10), range(1, 10))
  for (const { name } of await consumersOf(subject)) await (await bus.manager()).consumers.delete(LOG_STREAM, name)
  await publish(subject, 301, 10)
  assert.deepEqual(await take(messages, 300), range(11, 300))
  await tail.close()
})

test('it goes on when the connection breaks while it is read', async () => {
  const { natsUrl, natsTrustDir } = testServices()
  const cable = await startCable(natsUrl)
  const broken = await connectService({
    name: 'gateway',
    url: cable.through(natsUrl),
    credsFile: `${natsTrustDir}/gateway.creds`,
    log: createLog('test', 'silent'),
  })
  const subject = logSubject('node_x', newId('attempt'))
  await publish(subject, 1, 500)
  const tail = await orderedTail(broken, LOG_STREAM, subject, { after: 0 })
  const messages = tail.messages[Symbol.asyncIterator]()
  const seen = await take(messages, 50)
  for (let round = 0; round < 3; round++) {
    cable.cut()
    await publish(subject, 501 + round * 100, 100)
    cable.mend()
    seen.push(...(await take(messages, 150)))
  }
  seen.push(...(await take(messages, 800 - seen.length)))
  assert.deepEqual(seen, range(1, 800))
  await tail.close()
  await broken.close()
  await cable.close()
})

test('one that is closed while it waits ends', async () => {
  const tail = await orderedTail(bus, LOG_STREAM, logSubject('node_x', newId('attempt')), { after: 0 })
  const next = tail.messages[Symbol.asyncIterator]().next()
  await sleep(0)
  await tail.close()
  assert.equal((await withDeadline('the end', 60_000, () => next)).done, true)
})

for (const [trouble, whole] of [
  ['made anew', false],
  ['purged of what comes next', true],
] as const) {
  test(`a stream that was ${trouble} is said to be so`, async () => {
    const stream = newId('job')
    const subject = `test.${stream}`
    const { streams, consumers } = await bus.manager()
    const make = () => streams.add({ name: stream, subjects: [subject] })
    await make()
    try {
      await publish(subject, 1, 5)
      const tail = await orderedTail(bus, stream, subject, { after: 0 }, { whole })
      const messages = tail.messages[Symbol.asyncIterator]()
      await take(messages, 5)
      if (whole) {
        for (const { name } of await consumers.list(stream).next()) await consumers.delete(stream, name)
        await publish(subject, 6, 20)
        await streams.purge(stream)
      } else {
        await streams.delete(stream)
        await make()
        await publish(subject, 1, 20)
      }
      await assert.rejects(messages.next(), StreamGapError)
    } finally {
      await streams.delete(stream)
    }
  })
}
