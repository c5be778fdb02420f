import type { LogBatch, LogChunk, LogEnd, LogStatus } from '#core/api.ts'
import { RGridError } from '#core/errors.ts'
import { monotonicMs, sleep } from '#core/service/time.ts'
import type { Client } from './client.ts'
import { readEventSource, reconnectPauseMs } from './event-source.ts'

/** What a follower of a job's log hears. */
export interface Listener {
  chunk(chunk: LogChunk): Promise<void>
  status(status: LogStatus): void
  /** The log goes on with a further attempt of the job. */
  attempt(number: number): void
  /** The connection is lost and is made again; said once until something is heard again. */
  lost(): void
}

/** So long without a gateway, and we give up: the job goes on without us. */
const GIVE_UP_MS = 15 * 60_000

/** What of a log is asked for; absent: everything from the first attempt on. */
export interface LogChoice {
  attempt?: number | undefined
  /** Of what is there already, only the last so many lines. */
  tail?: number | undefined
  /** Only what was written from this time on, RFC 3339. */
  since?: string | undefined
}

/** The choice as the API takes it. */
export function choiceQuery(choice: LogChoice): URLSearchParams {
  const given = Object.entries(choice).filter(([, value]) => value !== undefined)
  return new URLSearchParams(given.map(([name, value]): [string, string] => [name, String(value)]))
}

/**
 * Follows a job to its end, whatever happens to the connection: it is made again and goes on behind the last message,
 * so each chunk is heard once. Resolves with how the job ended; rejects when the signal is aborted or the API says no.
 */
export async function followJob(client: Client, jobId: string, listener: Listener, signal: AbortSignal, choice: LogChoice = {}): Promise<LogEnd> {
  const path = `/v1/jobs/${encodeURIComponent(jobId)}/logs?${choiceQuery(choice)}&follow=true`
  let position: string | undefined
  // With a tail it begins with the latest attempt, whichever that is.
  let attempt = choice.attempt ?? (choice.tail === undefined ? 1 : Number.POSITIVE_INFINITY)
  let heardMs = monotonicMs()
  for (let failures = 0; ; failures++) {
    const replayed = position
    try {
      for await (const { event, id, data } of readEventSource(client, path, position, signal)) {
        failures = 0
        heardMs = monotonicMs()
        if (event === 'log') {
          const batch = JSON.parse(data) as LogBatch
          if (isBefore(batch, replayed)) continue
          if (batch.attempt > attempt) listener.attempt(batch.attempt)
          attempt = batch.attempt
          // Known before it is written: a message that is half written is never written again.
          position = id
          for (const chunk of batch.chunks) await listener.chunk(chunk)
        } else if (event === 'status') listener.status(JSON.parse(data) as LogStatus)
        else if (event === 'end') return JSON.parse(data) as LogEnd
      }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof RGridError && error.code !== 'unavailable') throw error
      if (monotonicMs() - heardMs > GIVE_UP_MS) throw error
    }
    if (failures === 1) listener.lost()
    await sleep(reconnectPauseMs(failures), signal)
  }
}

/** Whether a message was there already when the connection was made. */
function isBefore(batch: LogBatch, position: string | undefined): boolean {
  if (position === undefined) return false
  const [attempt = 0, seq = 0] = position.split('.').map(Number)
  return batch.attempt < attempt || (batch.attempt === attempt && batch.seq <= seq)
}
