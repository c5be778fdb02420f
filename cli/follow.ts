import { createParser, type EventSourceMessage } from 'eventsource-parser'
import type { LogBatch, LogChunk, LogEnd, LogStatus } from '#core/api.ts'
import { RGridError } from '#core/errors.ts'
import { after, sleep } from '#core/service/time.ts'
import type { Client } from './client.ts'

/** What a follower of a job's log hears. */
export interface Listener {
  chunk(chunk: LogChunk): Promise<void>
  status(status: LogStatus): void
}

/** No sign of life for so long: the connection is dead, and a new one is made. The gateway sends one every 10 s. */
const SILENCE_MS = 30_000
const MAX_PAUSE_MS = 10_000

/**
 * Follows a job to its end, whatever happens to the connection: it is made again and goes on behind the last message,
 * so each chunk is heard once. Resolves with how the job ended; rejects when the signal is aborted or the API says no.
 */
export async function followJob(client: Client, jobId: string, listener: Listener, signal: AbortSignal, attempt = 1): Promise<LogEnd> {
  let position: string | undefined
  for (let failures = 0; ; failures++) {
    try {
      for await (const { event, id, data } of events(client, `/v1/jobs/${jobId}/logs?follow=true&attempt=${attempt}`, position, signal)) {
        failures = 0
        if (event === 'log') {
          for (const chunk of (JSON.parse(data) as LogBatch).chunks) await listener.chunk(chunk)
          position = id
        } else if (event === 'status') listener.status(JSON.parse(data) as LogStatus)
        else if (event === 'end') return JSON.parse(data) as LogEnd
      }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof RGridError && error.code !== 'unavailable') throw error
    }
    await sleep(Math.min(MAX_PAUSE_MS, 100 * 2 ** Math.min(failures, 10)), signal)
  }
}

async function* events(client: Client, path: string, position: string | undefined, signal: AbortSignal): AsyncGenerator<EventSourceMessage> {
  const silence = new AbortController()
  const response = await client.stream(
    path,
    { accept: 'text/event-stream', ...(position === undefined ? {} : { 'last-event-id': position }) },
    AbortSignal.any([signal, silence.signal]),
  )
  if (!response.body) return
  const ready: EventSourceMessage[] = []
  const parser = createParser({ onEvent: (message) => ready.push(message) })
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  try {
    for (;;) {
      const cancel = after(SILENCE_MS, () => silence.abort())
      const { done, value } = await reader.read().finally(cancel)
      if (done) return
      parser.feed(value)
      yield* ready.splice(0)
    }
  } finally {
    await reader.cancel().catch(() => undefined)
  }
}
