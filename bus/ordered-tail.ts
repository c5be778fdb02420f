import type { JsMsg } from 'nats'
import { sleep } from '#core/service/time.ts'
import type { Bus } from './bus.ts'

/** Messages of a stream that are being read. */
export interface OrderedTail {
  /** In the order of the stream, each once. */
  messages: AsyncIterable<JsMsg>
  /** Ends the iteration. */
  close(): Promise<void>
}

/** Where in a stream to begin: behind this sequence, or with what was stored since this time. */
export type StreamStart = { after: number } | { sinceMs: number }

/** Read ahead of whoever iterates; so much of a slow reader's messages is held in memory. */
const READ_AHEAD = 100
const AGAIN_MS = 250

/**
 * The messages of a subject that are in the stream, then those that come. After each break of the connection it begins
 * anew behind the last one: what the server sent into the broken connection is gone, and the client's own ordered consumer
 * would notice that only by the next message, or after half a minute.
 */
export async function orderedTail(bus: Bus, stream: string, subject: string, start: StreamStart): Promise<OrderedTail> {
  let from = start
  let breaks = 0
  const closing = new AbortController()
  const open = async () => {
    const place = 'after' in from ? { opt_start_seq: from.after + 1 } : { opt_start_time: new Date(from.sinceMs).toISOString() }
    const consumer = await bus.jetstream.consumers.get(stream, { filterSubjects: subject, ...place })
    return consumer.consume({ max_messages: READ_AHEAD })
  }
  const reopen = async () => {
    for (;;) {
      const before = breaks
      const opened = await open().catch(() => undefined)
      if (opened && before === breaks) return opened
      await opened?.close()
      await sleep(AGAIN_MS, closing.signal)
    }
  }
  let current = await open()
  const forget = bus.onReconnect(() => {
    breaks++
    void current.close()
  })
  async function* messages(): AsyncGenerator<JsMsg> {
    try {
      while (!closing.signal.aborted) {
        for await (const message of current) {
          from = { after: message.seq }
          yield message
        }
        if (closing.signal.aborted) return
        current = await reopen()
      }
    } catch (error) {
      if (!closing.signal.aborted) throw error
    } finally {
      forget()
      await current.close()
    }
  }
  return {
    messages: messages(),
    async close() {
      closing.abort()
      forget()
      await current.close()
    },
  }
}
