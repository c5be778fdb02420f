import type { LogBatch } from '#core/api.ts'
import { RGridError } from '#core/errors.ts'
import { lines } from '#core/lines.ts'
import { sleep } from '#core/service/time.ts'
import type { Client } from './client.ts'
import { choiceQuery, type LogChoice } from './follow.ts'

const TRIES = 8
/** A message holds at most 32 KiB of output, which JSON may make six times as long. */
const MAX_MESSAGE_BYTES = 2 ** 20

/**
 * What there is of a log now, message by message, each once: a reading that breaks off is begun again behind the last one.
 * With a tail what was counted as the last lines may differ then, so that one is not begun again.
 */
export async function* readLog(client: Client, jobId: string, choice: LogChoice): AsyncGenerator<LogBatch> {
  const path = `/v1/jobs/${encodeURIComponent(jobId)}/logs?${choiceQuery(choice)}&format=ndjson`
  let seq = 0
  for (let attempt = 1; ; attempt++) {
    try {
      // Without a deadline: whoever reads us may take its time.
      const response = await client.stream(path, {}, new AbortController().signal)
      if (!response.body) return
      for await (const line of lines(response.body, MAX_MESSAGE_BYTES)) {
        const batch = JSON.parse(line.toString('utf8')) as LogBatch
        if (batch.seq <= seq) continue
        seq = batch.seq
        yield batch
      }
      return
    } catch (error) {
      const mayPass = !(error instanceof RGridError) || error.code === 'unavailable'
      if (!mayPass || attempt === TRIES || (choice.tail !== undefined && seq > 0)) throw error
      await sleep(100 * 2 ** attempt)
    }
  }
}
