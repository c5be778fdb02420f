import type { Bus } from './bus.ts'
import { BadMessageError, decode } from './codec.ts'
import { Event } from './messages/event.ts'
import { orderedTail, readStream, type StreamStart, type StreamState } from './ordered-tail.ts'
import { EVENT_STREAM } from './streams.ts'

/** The stream of events as it is now. */
export function readEventStream(bus: Bus): Promise<StreamState> {
  return readStream(bus, EVENT_STREAM)
}

/** Events that are being read. */
export interface EventTail {
  /** In the order of the stream. Throws a StreamGapError when it cannot go on where it was. */
  events: AsyncIterable<{ sequence: number; event: Event }>
  /** Ends the iteration. */
  close(): Promise<void>
}

/** The events of a subject from a place in the stream that was created at `made` on: those that are there, then those that come. */
export async function tailEvents(bus: Bus, subject: string, start: StreamStart, made?: number): Promise<EventTail> {
  const tail = await orderedTail(bus, EVENT_STREAM, subject, start, { whole: true, ...(made === undefined ? {} : { made }) })
  async function* events(): EventTail['events'] {
    for await (const raw of tail.messages) {
      const event = read(raw.data)
      if (event) yield { sequence: raw.seq, event }
    }
  }
  return { events: events(), close: tail.close }
}

/** Undefined for one that another version wrote in another way: it would end each reader again and again. */
function read(data: Uint8Array): Event | undefined {
  try {
    return decode(Event, data)
  } catch (error) {
    if (error instanceof BadMessageError) return undefined
    throw error
  }
}
