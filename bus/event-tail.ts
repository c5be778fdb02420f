import type { Bus } from './bus.ts'
import { decode } from './codec.ts'
import { Event } from './messages/event.ts'
import { orderedTail, type StreamStart } from './ordered-tail.ts'
import { EVENT_STREAM } from './streams.ts'

/** The stream of events as it is now. Sequences count from 1; a stream that was made anew begins again. */
export interface EventStreamState {
  createdMs: number
  firstSequence: number
  /** 0 when there was no event yet. */
  lastSequence: number
}

/** Reads the state of the stream. */
export async function readEventStream(bus: Bus): Promise<EventStreamState> {
  const { created, state } = await (await bus.manager()).streams.info(EVENT_STREAM)
  return { createdMs: Date.parse(created), firstSequence: state.first_seq, lastSequence: state.last_seq }
}

/** Events that are being read. */
export interface EventTail {
  /** In the order of the stream. */
  events: AsyncIterable<{ sequence: number; event: Event }>
  /** Ends the iteration. */
  close(): Promise<void>
}

/** The events of a subject from a place on: those that are there, then those that come (see ordered-tail.ts). */
export async function tailEvents(bus: Bus, subject: string, start: StreamStart): Promise<EventTail> {
  const tail = await orderedTail(bus, EVENT_STREAM, subject, start)
  async function* events(): EventTail['events'] {
    for await (const raw of tail.messages) yield { sequence: raw.seq, event: decode(Event, raw.data) }
  }
  return { events: events(), close: tail.close }
}
