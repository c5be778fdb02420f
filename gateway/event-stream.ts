import { readEventStream, tailEvents } from '#bus/event-tail.ts'
import type { Event } from '#bus/messages/event.ts'
import type { StreamStart, StreamState } from '#bus/ordered-tail.ts'
import { eventSubject, projectEventsSubject } from '#bus/subjects.ts'
import { cloudEventType, type EventType } from '#core/event-types.ts'
import type { Principal } from './access/caller.ts'
import type { TenantDeps } from './deps.ts'
import type { ServerSentEvent } from './sse.ts'

/** Which events of the project a reader wants, and from where on: behind the event with this id, since a time, or from now. */
export interface EventQuery {
  jobId?: string | undefined
  batchId?: string | undefined
  types?: readonly EventType[] | undefined
  sinceMs?: number | undefined
  lastId?: EventId | undefined
}

/** Where an event is: in the stream that was created then, at this sequence. */
export interface EventId {
  createdMs: number
  sequence: number
}

/** As the id of a server-sent event. */
export function formatEventId({ createdMs, sequence }: EventId): string {
  return `${createdMs.toString(36)}-${sequence}`
}

/** Reads one; undefined when it is none of ours. */
export function parseEventId(text: string): EventId | undefined {
  const match = /^([0-9a-z]{1,10})-(\d{1,15})$/.exec(text)
  return match ? { createdMs: Number.parseInt(match[1] as string, 36), sequence: Number(match[2]) } : undefined
}

/** Ids of events that were sent lately: the relay may bring one twice when the bus was away for long. */
const REMEMBERED = 1000

/** So far may the clock of NATS be behind that of Postgres, which says when an event happened. */
const CLOCKS_MS = 60_000

/**
 * Fixes the place where a reader begins, and returns what it hears: first `ready`: nothing that happens after this call is
 * missed; or `reset` before it, when events behind the one that the reader has seen last are no longer kept, and it must
 * read the state anew. Then the events as they happen. Nothing is read ahead but 100 messages. The caller must iterate.
 */
export async function openEventStream(
  deps: TenantDeps,
  principal: Principal,
  query: EventQuery,
): Promise<(signal: AbortSignal) => AsyncGenerator<ServerSentEvent>> {
  const { accountId, projectId } = principal
  const stream = await readEventStream(deps.bus)
  const { start, reset } = startOf(stream, query)
  // A job's events have a subject of their own, and so have a batch's; those of its jobs are found among the project's.
  const subject = query.jobId === undefined ? projectEventsSubject(accountId, projectId) : eventSubject(accountId, projectId, query.jobId)
  const tail = await tailEvents(deps.bus, subject, start, stream.createdMs)
  const id = (sequence: number) => formatEventId({ createdMs: stream.createdMs, sequence })
  const here = id('after' in start ? start.after : stream.lastSequence)

  return async function* (signal) {
    const close = () => void tail.close()
    signal.addEventListener('abort', close, { once: true })
    try {
      if (reset) yield { event: 'reset', id: here, data: { reason: reset } }
      yield { event: 'ready', ...('after' in start ? { id: here } : {}), data: {} }
      if (signal.aborted) return
      const sent = new Set<string>()
      for await (const { sequence, event } of tail.events) {
        if (!isWanted(event, query) || sent.has(event.id)) continue
        sent.add(event.id)
        if (sent.size > REMEMBERED) sent.delete(sent.values().next().value as string)
        yield { id: id(sequence), data: event }
      }
    } finally {
      signal.removeEventListener('abort', close)
      await tail.close()
    }
  }
}

function startOf(stream: StreamState, query: EventQuery): { start: StreamStart; reset?: string } {
  const now = { after: stream.lastSequence }
  const { lastId } = query
  if (!lastId) return { start: query.sinceMs === undefined ? now : { sinceMs: Math.max(0, query.sinceMs - CLOCKS_MS) } }
  if (lastId.createdMs !== stream.createdMs || lastId.sequence > stream.lastSequence)
    return { start: now, reset: 'the stream of events was made anew; read the state again' }
  if (lastId.sequence + 1 < stream.firstSequence) return { start: now, reset: 'events behind this one are no longer kept; read the state again' }
  return { start: { after: lastId.sequence } }
}

function isWanted(event: Event, query: EventQuery): boolean {
  if (query.sinceMs !== undefined && Date.parse(event.time) < query.sinceMs) return false
  if (query.batchId !== undefined && event.data.batchId !== query.batchId) return false
  return query.types === undefined || query.types.some((type) => cloudEventType(type) === event.type)
}
