import { createParser, type EventSourceMessage } from 'eventsource-parser'
import { after } from '#core/service/time.ts'
import type { Client } from './client.ts'

/** No sign of life for so long: the connection is dead. The gateway sends one every 10 s. */
const SILENCE_MS = 30_000

/**
 * Opens a stream of server-sent events and reads it until it ends; `lastId` is the id of the event behind which it is to
 * begin. Rejects when the connection breaks, is silent for too long, or the signal is aborted.
 */
export async function* readEventSource(client: Client, path: string, lastId: string | undefined, signal: AbortSignal): AsyncGenerator<EventSourceMessage> {
  const silence = new AbortController()
  let cancel = after(SILENCE_MS, () => silence.abort())
  try {
    const response = await client.stream(
      path,
      { accept: 'text/event-stream', ...(lastId === undefined ? {} : { 'last-event-id': lastId }) },
      AbortSignal.any([signal, silence.signal]),
    )
    if (!response.body) return
    const ready: EventSourceMessage[] = []
    const parser = createParser({ onEvent: (message) => ready.push(message) })
    for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
      // Only the wait for the gateway counts: a slow reader of our output is no silence.
      cancel()
      parser.feed(text)
      yield* ready.splice(0)
      cancel = after(SILENCE_MS, () => silence.abort())
    }
  } finally {
    cancel()
  }
}

/** How long to wait before the connection is made again, after so many failures in a row: growing, and never the same for all. */
export function reconnectPauseMs(failures: number): number {
  return Math.min(5000, 100 * 2 ** Math.min(failures, 10)) * (0.75 + Math.random() / 2)
}
