import { AckPolicy, type ConsumerMessages, DeliverPolicy, type JsMsg, nanos } from 'nats'
import { sleep } from '#core/service/time.ts'
import type { Bus } from './bus.ts'

/** Messages of a stream that are being read. */
export interface OrderedTail {
  /** In the order of the stream, each once. Throws a StreamGapError when it cannot go on where it was. */
  messages: AsyncIterable<JsMsg>
  /** Ends the iteration. */
  close(): Promise<void>
}

/** Where in a stream to begin: behind this sequence, or with what was stored since this time. */
export type StreamStart = { after: number } | { sinceMs: number }

/** A stream as it is now. Sequences count from 1; a stream that was made anew begins again. */
export interface StreamState {
  createdMs: number
  firstSequence: number
  /** 0 when there was no message yet. */
  lastSequence: number
}

/** Messages may be missing between the last one that was read and those that are there now. */
export class StreamGapError extends Error {
  constructor(why: string) {
    super(why)
    this.name = 'StreamGapError'
  }
}

/** Reads the state of a stream. */
export async function readStream(bus: Bus, stream: string): Promise<StreamState> {
  const { created, state } = await (await bus.manager()).streams.info(stream)
  return { createdMs: Date.parse(created), firstSequence: state.first_seq, lastSequence: state.last_seq }
}

/** So many messages are asked for ahead of whoever iterates: what a slow reader costs in memory. */
export const READ_AHEAD = 100
const AGAIN_MS = 250
/** A reader that is slower than this between two messages has its consumer made anew. */
const IDLE_MS = 5 * 60_000

interface Reading {
  name: string
  messages: ConsumerMessages
}

/**
 * The messages of a subject that are in the stream, then those that come. A consumer of our own that acknowledges nothing, and
 * is made anew behind the last message when one is missing, when it has gone, and after each break of the connection: what
 * the server sent into a broken connection would be noticed by the next message only. (The client's ordered consumer reads
 * ahead without bound when its reader is slow.)
 *
 * `made` is when the stream was created, where the caller knows; one that was made anew meanwhile ends the iteration. With
 * `whole` so does one that, after a break, no longer holds the message behind the last one.
 */
export async function orderedTail(
  bus: Bus,
  stream: string,
  subject: string,
  start: StreamStart,
  { made, whole = false }: { made?: number; whole?: boolean } = {},
): Promise<OrderedTail> {
  let from = start
  let createdMs = made
  let breaks = 0
  const closing = new AbortController()

  async function open(again: boolean): Promise<Reading> {
    const state = await readStream(bus, stream)
    createdMs ??= state.createdMs
    if (createdMs !== state.createdMs) throw new StreamGapError(`the stream ${stream} was made anew`)
    if (again && whole && 'after' in from && from.after + 1 < state.firstSequence)
      throw new StreamGapError(`the stream ${stream} no longer holds what comes next`)
    const manager = await bus.manager()
    const place =
      'after' in from
        ? { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: from.after + 1 }
        : { deliver_policy: DeliverPolicy.StartTime, opt_start_time: new Date(from.sinceMs).toISOString() }
    const options = { ack_policy: AckPolicy.None, filter_subject: subject, inactive_threshold: nanos(IDLE_MS), mem_storage: true, num_replicas: 1 }
    const { name } = await manager.consumers.add(stream, { ...options, ...place })
    const consumer = await bus.jetstream.consumers.get(stream, name)
    return { name, messages: await consumer.consume({ max_messages: READ_AHEAD, abort_on_missing_resource: true }) }
  }

  async function shut({ name, messages }: Reading): Promise<void> {
    // Not waited for: it ends when its iterator is asked the next time, which may be never.
    messages.stop()
    // The server takes it away by itself when nobody asks for long.
    const manager = await bus.manager().catch(() => undefined)
    await manager?.consumers.delete(stream, name).catch(() => undefined)
  }

  async function reopen(): Promise<Reading> {
    for (;;) {
      const before = breaks
      const opened = await open(true).catch((error: unknown) => {
        if (error instanceof StreamGapError) throw error
        return undefined
      })
      if (opened && before === breaks) return opened
      if (opened) await shut(opened)
      await sleep(AGAIN_MS, closing.signal)
    }
  }

  let current = await open(false)
  const forget = bus.onReconnect(() => {
    breaks++
    current.messages.stop()
  })

  /** Until it is closed, breaks off, or leaves one out. */
  async function* readCurrent(): AsyncGenerator<JsMsg> {
    let delivered = 0
    try {
      for await (const message of current.messages) {
        if (message.info.deliverySequence !== ++delivered) return
        yield message
      }
    } catch (error) {
      // The consumer has gone, or the server does not answer: it is made anew.
      if (!(error instanceof Error)) throw error
    }
  }

  async function* messages(): AsyncGenerator<JsMsg> {
    try {
      while (!closing.signal.aborted) {
        for await (const message of readCurrent()) {
          from = { after: message.seq }
          yield message
        }
        if (closing.signal.aborted) return
        await shut(current)
        current = await reopen()
      }
    } catch (error) {
      if (!closing.signal.aborted) throw error
    } finally {
      forget()
      await shut(current)
    }
  }

  return {
    messages: messages(),
    async close() {
      closing.abort()
      forget()
      await shut(current)
    },
  }
}
