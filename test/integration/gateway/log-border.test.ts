import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { pino } from 'pino'
import { sql } from 'slonik'
import { LOG_STREAM } from '#bus/streams.ts'
import { logSubject } from '#bus/subjects.ts'
import { sleep, withDeadline } from '#core/service/time.ts'
import type { ClaimedJob } from '#store/claims.ts'
import { readLogPlaces } from '#store/job-query.ts'
import { createDbPool } from '#store/pool.ts'
import { readLog } from '../../../gateway/log/read.ts'
import { createLogPurger } from '../../../scheduler/log-purger.ts'
import { messageOf, openEvents, type StreamEvent } from '../../harness/event-stream.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { archiveLog, end, line, publishLog } from '../../harness/log-writer.ts'

let gateway: TestGateway
let address: string
before(async () => {
  gateway = await startGateway()
  address = await gateway.listen()
})
after(() => gateway.stop())

const running = async (): Promise<ClaimedJob> => gateway.attempts.assign(await gateway.factory.job({ spec: { priority: 100 } }))

async function liveMessages(job: ClaimedJob): Promise<number> {
  const subject = logSubject(job.nodeId, job.attemptId)
  const { state } = await (await gateway.bus.manager()).streams.info(LOG_STREAM, { subjects_filter: subject })
  return state.subjects?.[subject] ?? 0
}

/** Runs the purger until this log is off the bus. */
async function purge(job: ClaimedJob, graceSeconds = 0): Promise<void> {
  const db = await createDbPool(gateway.schedulerUrl, 2)
  const purger = createLogPurger(db, gateway.bus, pino({ level: 'silent' }), () => true, graceSeconds)
  await purger.start()
  try {
    await withDeadline('the purge', 30_000, async (signal) => {
      while ((await liveMessages(job)) > 0) await sleep(10, signal)
    })
  } finally {
    await purger.stop()
    await db.end()
  }
}

test('only what is archived goes off the bus, and not before its grace is over', async () => {
  const [archived, lost, fresh] = [await running(), await running(), await running()]
  for (const job of [archived, lost, fresh]) await publishLog(gateway.bus, job, [line(1), end(2)])
  for (const job of [archived, fresh]) await archiveLog(gateway.objects, gateway.factory, job, [line(1), end(2)])
  await gateway.attempts.finish(archived, { logSeq: 2, logArchived: true })
  await gateway.attempts.finish(lost, { logSeq: 2, logArchived: false })
  await gateway.admin.query(sql.unsafe`update attempts set finished_at = now() - interval '2 hours' where id = ${archived.attemptId}`)
  await gateway.attempts.finish(fresh, { logSeq: 2, logArchived: true })
  await purge(archived, 3600)
  assert.deepEqual([await liveMessages(lost), await liveMessages(fresh)], [2, 2])
  assert.equal((await gateway.call('GET', `/v1/jobs/${archived.jobId}/logs`)).body, 'line 1\n')
})

test('a follower that is still reading when the live copy goes notices nothing', async () => {
  const job = await running()
  const messages = Array.from({ length: 400 }, (_, i) => line(i + 1, `${i}${'x'.repeat(30_000)}\n`))
  await publishLog(gateway.bus, job, messages)
  const stream = await openEvents(`${address}/v1/jobs/${job.jobId}/logs?follow=true`, { authorization: `Bearer ${gateway.key}` })
  const first = await stream.until(({ event }) => event === 'log')
  await publishLog(gateway.bus, job, [end(401)])
  await archiveLog(gateway.objects, gateway.factory, job, [...messages, end(401)])
  await gateway.attempts.finish(job, { logSeq: 401, logArchived: true })
  await purge(job)
  const rest = await stream.until(({ event }) => event === 'end')
  const ids = [...first, ...rest].filter(({ event }: StreamEvent) => event === 'log').map(({ id }) => messageOf(id))
  assert.deepEqual(
    ids,
    messages.map(({ seq }) => `1.${seq}`),
  )
})

test('nor does one that does not follow, and takes its time', async () => {
  const job = await running()
  const messages = Array.from({ length: 400 }, (_, i) => line(i + 1, `${i}${'x'.repeat(1000)}\n`))
  await publishLog(gateway.bus, job, messages)
  const [place] = await readLogPlaces(gateway.db, job.jobId, 1)
  assert.ok(place)
  const reading = readLog(gateway, { ...gateway.factory, jobId: job.jobId }, place)
  const seqs = [(await reading.next()).value?.seq]
  await archiveLog(gateway.objects, gateway.factory, job, [...messages, end(401)])
  await gateway.attempts.finish(job, { logSeq: 401, logArchived: true })
  await purge(job)
  for await (const { seq } of reading) seqs.push(seq)
  assert.deepEqual(
    seqs,
    Array.from({ length: 401 }, (_, i) => i + 1),
  )
})
