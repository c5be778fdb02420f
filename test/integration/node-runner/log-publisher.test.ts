import assert from 'node:assert/strict'
import { appendFile, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type Bus, connectService } from '#bus/bus.ts'
import { createLogOrder } from '#bus/log-order.ts'
import { tailLog } from '#bus/log-tail.ts'
import type { LogMessage } from '#bus/messages/log.ts'
import { newId } from '#core/ids.ts'
import { createLog } from '#core/service/log.ts'
import { createLogPublisher } from '../../../node-runner/log/publisher.ts'
import { serviceBus } from '../../harness/bus.ts'
import { type Cable, startCable } from '../../harness/cable.ts'
import { end, line } from '../../harness/log-writer.ts'
import { testServices } from '../../harness/services.ts'

const log = createLog('test', 'silent')
let reader: Bus
let cable: Cable
let node: Bus
let dir: string

before(async () => {
  const { natsUrl, natsTrustDir } = testServices()
  reader = await serviceBus()
  cable = await startCable(natsUrl)
  node = await connectService({ name: 'node', url: cable.through(natsUrl), credsFile: join(natsTrustDir, 'scheduler.creds'), log })
  dir = await mkdtemp(join(tmpdir(), 'rgrid-publisher-'))
})
after(async () => {
  await Promise.all([node.close(), reader.close()])
  await cable.close()
  await rm(dir, { recursive: true })
})

const text = (messages: readonly LogMessage[]) => messages.map((message) => `${JSON.stringify(message)}\n`).join('')

/** Reads the log to its end as a follower does; `heard` is told the number of each message as it comes in order. */
async function readAll(attemptId: string, heard: (seq: number) => void): Promise<number[]> {
  const order = createLogOrder(0)
  const tail = await tailLog(reader, 'node_x', attemptId)
  const seqs: number[] = []
  for await (const { message } of tail.messages) {
    for (const ready of order.accept(message)) {
      seqs.push(ready.seq)
      heard(ready.seq)
    }
    if (seqs.at(-1) === COUNT) break
  }
  await tail.close()
  return seqs
}

const COUNT = 3000

test('a log that grows while its way to the bus is cut again and again arrives whole, and in order', async () => {
  const [attemptId, path] = [newId('attempt'), join(dir, 'log')]
  const messages = [...Array.from({ length: COUNT - 1 }, (_, i) => line(i + 1, `${'x'.repeat(500)}\n`)), end(COUNT)]
  await writeFile(path, '')
  const publisher = createLogPublisher(node, 'node_x', attemptId, path, log)
  let cuts = 0
  const reading = readAll(attemptId, (seq) => {
    if (seq % 600 !== 0) return
    cuts++
    cable.cut()
    setImmediate(() => cable.mend())
  })
  let written = 0
  for (let at = 0; at < COUNT; at += 250) {
    const part = text(messages.slice(at, at + 250))
    await appendFile(path, part)
    written += Buffer.byteLength(part)
    publisher.poke()
  }
  assert.equal(await publisher.finish(written, AbortSignal.timeout(60_000)), true)
  assert.deepEqual(
    await reading,
    messages.map(({ seq }) => seq),
  )
  assert.ok(cuts >= 4)
  await publisher.stop()
})

test('what is not acknowledged yet is said when there is no time to wait for it', async () => {
  const path = join(dir, 'away')
  await writeFile(path, text([line(1)]))
  cable.cut()
  const publisher = createLogPublisher(node, 'node_x', newId('attempt'), path, log)
  assert.equal(await publisher.finish(10, AbortSignal.timeout(50)), false)
  cable.mend()
  assert.equal(await publisher.finish(10, AbortSignal.timeout(30_000)), true)
  await publisher.stop()
})
