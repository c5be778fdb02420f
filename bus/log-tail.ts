import type { ConsumerMessages, NatsError } from 'nats'
import { errorText } from '#core/errors.ts'
import type { Bus } from './bus.ts'
import { decode } from './codec.ts'
import { LogMessage } from './messages/log.ts'
import { LOG_STREAM } from './streams.ts'
import { logSubject } from './subjects.ts'

/** A live log that is being read; `close` ends the iteration. */
export interface LogTail {
  messages: AsyncIterable<LogMessage>
  close(): Promise<void>
}

/**
 * The log messages of an attempt that are in the stream now, then those that come, each once and in order
 * (`seq` rises). The consumer is ordered: it makes itself anew after a break and goes on where it was.
 */
export async function tailLog(bus: Bus, nodeId: string, attemptId: string, afterSeq: number): Promise<LogTail> {
  const consumer = await bus.jetstream.consumers.get(LOG_STREAM, { filterSubjects: logSubject(nodeId, attemptId) })
  const messages = await consumer.consume({ max_messages: 100 })
  return { messages: checked(messages, afterSeq), close: async () => void (await messages.close()) }
}

/** The log messages of an attempt that are in the stream now. */
export async function* readLogNow(bus: Bus, nodeId: string, attemptId: string): AsyncGenerator<LogMessage> {
  const manager = await bus.manager()
  const last = await manager.streams.getMessage(LOG_STREAM, { last_by_subj: logSubject(nodeId, attemptId) }).catch((error: NatsError) => {
    if (error.code === '404' || error.api_error?.code === 404) return undefined
    throw error
  })
  if (!last) return
  const lastSeq = decode(LogMessage, last.data).seq
  const tail = await tailLog(bus, nodeId, attemptId, 0)
  try {
    for await (const message of tail.messages) {
      yield message
      if (message.seq >= lastSeq) return
    }
  } finally {
    await tail.close()
  }
}

async function* checked(messages: ConsumerMessages, afterSeq: number): AsyncGenerator<LogMessage> {
  let lastSeq = afterSeq
  for await (const raw of messages) {
    let message: LogMessage
    try {
      message = decode(LogMessage, raw.data)
    } catch (error) {
      // A node wrote it, and nodes are not trusted: the rest of its log is still worth reading.
      message = { seq: lastSeq + 1, chunks: [{ stream: 'system', at: 0, text: `a log message could not be read: ${errorText(error)}\n` }] }
    }
    if (message.seq <= lastSeq) continue
    lastSeq = message.seq
    yield message
  }
}
