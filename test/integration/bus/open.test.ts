import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { openBus } from '#bus/open.ts'
import { readStream } from '#bus/ordered-tail.ts'
import { EVENT_STREAM } from '#bus/streams.ts'
import { sleep, withDeadline } from '#core/service/time.ts'
import { serviceBus } from '../../harness/bus.ts'
import { startCable } from '../../harness/cable.ts'
import { testServices } from '../../harness/services.ts'

test('a server that comes back without its streams gets them again', async () => {
  const { natsUrl, natsTrustDir } = testServices()
  const cable = await startCable(natsUrl)
  const other = await serviceBus()
  const options = { name: 'scheduler', url: cable.through(natsUrl), credsFile: `${natsTrustDir}/scheduler.creds`, log: pino({ level: 'silent' }) }
  const bus = await openBus(options, AbortSignal.timeout(60_000))
  try {
    cable.cut()
    await (await other.manager()).streams.delete(EVENT_STREAM)
    cable.mend()
    await withDeadline('the stream', 60_000, async (signal) => {
      while (!(await readStream(other, EVENT_STREAM).catch(() => undefined))) await sleep(20, signal)
    })
    assert.equal((await readStream(other, EVENT_STREAM)).lastSequence, 0)
  } finally {
    await bus.close()
    await other.close()
    await cable.close()
  }
})
