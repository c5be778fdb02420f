import type { LogMessage } from '#bus/messages/log.ts'
import type { LogPlace } from '#store/job-query.ts'
import { type FollowEvent, type FollowStart, formatPosition } from './follow.ts'
import { type LogView, missingPart, viewOf } from './view.ts'

/** Makes events of messages that come in order, and knows the number of the last one. */
export interface Teller {
  /** What the reader wants to see. */
  view: LogView
  seq(): number
  /** `place`: where the log is by now; it decides what is said of missing messages. */
  tell(messages: Iterable<LogMessage>, place: LogPlace): Generator<FollowEvent>
  /** Everything up to this number was seen. */
  skipTo(seq: number): void
  /** Everything in the stream up to this position was read. */
  moveTo(position: number): void
  event(seq: number, chunks: LogMessage['chunks']): FollowEvent
}

/** One for an attempt, that begins behind where the reader was. */
export function createTeller(attempt: number, start: FollowStart): Teller {
  let { seq, position } = start
  const event = (number: number, chunks: LogMessage['chunks']): FollowEvent => ({
    event: 'log',
    id: formatPosition({ attempt, seq: number, position }),
    data: { attempt, seq: number, chunks },
  })
  return {
    view: start,
    seq: () => seq,
    event,
    skipTo(number) {
      seq = Math.max(seq, number)
    },
    moveTo(at) {
      position = at
    },
    *tell(messages, place) {
      for (const message of messages) {
        if (message.seq <= seq) continue
        if (message.seq > seq + 1) yield event(seq, [missingPart(message.chunks[0]?.at ?? 0, place)])
        seq = message.seq
        const chunks = viewOf(message.chunks, start)
        if (chunks.length > 0) yield event(seq, chunks)
      }
    },
  }
}
