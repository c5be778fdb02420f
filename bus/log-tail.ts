import type { JsMsg, NatsError } from 'nats'
import { withDeadline } from '#core/service/time.ts'
import type { Bus } from './bus.ts'
import { BadMessageError, decode } from './codec.ts'
import { createLogOrder } from './log-order.ts'
import { LogMessage } from './messages/log.ts'
import { orderedTail } from './ordered-tail.ts'
import { LOG_STREAM } from './streams.ts'
import { logSubject } from './subjects.ts'

/** A live log that is being read. */
export interface LogTail {
  /** As they are stored: some may come twice or out of order (see log-order.ts). `position` is that in the stream. */
  messages: AsyncIterable<{ position: number; message: LogMessage }>
  /** Ends the iteration. */
  close(): Promise<void>
}

/**
 * The log messages of an attempt that are in the stream now, behind the one at position `after` where that is given, then
 * those that come. Reads ahead by at most 100 messages.
 */
export async function tailLog(bus: Bus, nodeId: string, attemptId: string, after = 0): Promise<LogTail> {
  // A stream that was made anew counts from 1 again.
  const isKnown = after > 0 && ((await lastPosition(bus, nodeId, attemptId)) ?? 0) >= after
  const tail = await orderedTail(bus, LOG_STREAM, logSubject(nodeId, attemptId), { after: isKnown ? after : 0 })
  return { messages: decoded(tail.messages), close: tail.close }
}

/** The position of the last message of an attempt in the stream; undefined when it has none there. */
async function lastPosition(bus: Bus, nodeId: string, attemptId: string): Promise<number | undefined> {
  const manager = await bus.manager()
  const last = await manager.streams.getMessage(LOG_STREAM, { last_by_subj: logSubject(nodeId, attemptId) }).catch((error: NatsError) => {
    if (error.code === '404' || error.api_error?.code === 404) return undefined
    throw error
  })
  return last?.seq
}

/** Messages that are there come within this time, or they have been taken away meanwhile. */
const STALL_MS = 3000

/** The log messages of an attempt that are in the stream now, in order. Throws DeadlineError when the stream does not deliver them. */
export async function* readLogNow(bus: Bus, nodeId: string, attemptId: string): AsyncGenerator<LogMessage> {
  const last = await lastPosition(bus, nodeId, attemptId)
  if (last === undefined) return
  const order = createLogOrder(0)
  const tail = await tailLog(bus, nodeId, attemptId)
  try {
    const messages = tail.messages[Symbol.asyncIterator]()
    for (let position = 0; position < last; ) {
      const next = await withDeadline('reading a live log', STALL_MS, () => messages.next())
      if (next.done) break
      position = next.value.position
      yield* order.accept(next.value.message)
    }
    yield* order.rest()
  } finally {
    await tail.close()
  }
}

async function* decoded(messages: AsyncIterable<JsMsg>): LogTail['messages'] {
  for await (const raw of messages) {
    let message: LogMessage
    try {
      message = decode(LogMessage, raw.data)
    } catch (error) {
      if (!(error instanceof BadMessageError)) throw error
      // A node wrote it, and nodes are not trusted. Number 0 is no message: the order passes it by, and readers still see the position.
      message = { seq: 0, chunks: [] }
    }
    yield { position: raw.seq, message }
  }
}
