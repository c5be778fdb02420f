import type { LogMessage } from './messages/log.ts'

/** Puts the messages of one log into the order of their numbers, each once. */
export interface LogOrder {
  /** Takes a message as it came; returns those that are in order now. */
  accept(message: LogMessage): LogMessage[]
  /** What still waits for a number that will not come any more, in order. */
  rest(): LogMessage[]
}

/**
 * A node has up to 64 messages under way, and sends all from the first unacknowledged one again: whatever is missing comes
 * before more than that many others have. What is missing longer has been dropped by the stream.
 */
const MAX_WAITING = 128

/** Orders what comes after the message of number `afterSeq`. */
export function createLogOrder(afterSeq: number): LogOrder {
  let last = afterSeq
  const waiting = new Map<number, LogMessage>()

  function rest(): LogMessage[] {
    const messages = [...waiting.values()].sort((a, b) => a.seq - b.seq)
    waiting.clear()
    last = messages.at(-1)?.seq ?? last
    return messages
  }

  return {
    accept(message) {
      if (message.seq <= last) return []
      waiting.set(message.seq, message)
      const ready: LogMessage[] = []
      for (let next = waiting.get(last + 1); next; next = waiting.get(last + 1)) {
        waiting.delete(next.seq)
        ready.push(next)
        last = next.seq
      }
      return waiting.size > MAX_WAITING ? [...ready, ...rest()] : ready
    },
    rest,
  }
}
