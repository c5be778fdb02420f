import { RGridError } from '#core/errors.ts'
import { monotonicMs, sleep } from '#core/service/time.ts'
import type { Client } from './client.ts'
import { readEventSource, reconnectPauseMs } from './event-source.ts'

/** So long without a gateway, and we give up. */
const GIVE_UP_MS = 15 * 60_000

/** Which events are wanted; absent: all of the project. Types without the prefix `rgrid.`. */
export interface EventQuery {
  job?: string | undefined
  batch?: string | undefined
  types?: readonly string[] | undefined
}

/** An event as the API sends it: a CloudEvent. */
export interface ProjectEvent {
  id: string
  type: string
  subject: string
  time: string
  data: Record<string, unknown> & { jobId: string | null; batchId: string | null }
}

/**
 * What is heard: an event; or `look`, when the state must be read anew: at the beginning, from when on no event is missed, and
 * when events were missed that are no longer kept.
 */
export type Heard = { kind: 'event'; event: ProjectEvent } | { kind: 'look' }

/** Follows events, each once, whatever happens to the connection. Rejects when the signal is aborted or the API says no. */
export async function* followEvents(client: Client, query: EventQuery, signal: AbortSignal): AsyncGenerator<Heard> {
  const parameters = new URLSearchParams()
  if (query.job !== undefined) parameters.set('job', query.job)
  if (query.batch !== undefined) parameters.set('batch', query.batch)
  if (query.types !== undefined) parameters.set('type', query.types.join(','))
  let lastId: string | undefined
  let heardMs = monotonicMs()
  for (let failures = 0; ; failures++) {
    try {
      for await (const { event, id, data } of readEventSource(client, `/v1/events?${parameters}`, lastId, signal)) {
        failures = 0
        heardMs = monotonicMs()
        const isFirst = lastId === undefined
        lastId = id ?? lastId
        if (event === undefined) yield { kind: 'event', event: JSON.parse(data) as ProjectEvent }
        else if (event === 'reset' || (event === 'ready' && isFirst)) yield { kind: 'look' }
      }
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof RGridError && error.code !== 'unavailable') throw error
      if (monotonicMs() - heardMs > GIVE_UP_MS) throw error
    }
    await sleep(reconnectPauseMs(failures), signal)
  }
}
