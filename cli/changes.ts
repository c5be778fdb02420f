import { after, monotonicMs, sleep } from '#core/service/time.ts'
import type { Client } from './client.ts'
import { type EventQuery, followEvents, type ProjectEvent } from './follow-events.ts'

/** What happened since the last time. `look`: something may have happened that no event tells of; the state is to be read anew. */
export interface Change {
  events: ProjectEvent[]
  look: boolean
}

/** Events that come together are told together: following a batch of 10,000 jobs costs a few reads a second. */
const TOGETHER_MS = 250
/** Where looking takes long (a list of thousands of jobs), the pauses are so many times as long as the looks. */
const PAUSE_FACTOR = 3
/** The beginning is not kept waiting by an event stream that does not come. */
const FIRST_MS = 1000
/** The state is read so often whatever the events say. */
const SAFETY_MS = 15_000

/**
 * Tells when the state of something may have changed: at the beginning, when events of it come, and every 15 s all the same.
 * Ends never by itself; rejects when the signal is aborted or the API says no.
 */
export async function* changes(client: Client, query: EventQuery, outer: AbortSignal): AsyncGenerator<Change> {
  const stop = new AbortController()
  const signal = AbortSignal.any([outer, stop.signal])
  let events: ProjectEvent[] = []
  let look = true
  let failure: { error: unknown } | undefined
  let wake: () => void = () => undefined

  const follow = async () => {
    for await (const heard of followEvents(client, query, signal)) {
      if (heard.kind === 'event') events.push(heard.event)
      else look = true
      wake()
    }
  }
  const following = follow().catch((error: unknown) => {
    failure = { error }
    wake()
  })
  const wait = async (ms: number) => {
    const { promise, resolve } = Promise.withResolvers<void>()
    wake = resolve
    const cancel = after(ms, () => {
      look = true
      resolve()
    })
    await promise
    cancel()
  }
  try {
    look = false
    await wait(FIRST_MS)
    for (;;) {
      if (failure) throw failure.error
      const change = { events, look }
      events = []
      look = false
      const lookedMs = monotonicMs()
      yield change
      await sleep(Math.max(TOGETHER_MS, PAUSE_FACTOR * (monotonicMs() - lookedMs)), signal)
      if (events.length === 0 && !look && !failure) await wait(SAFETY_MS)
    }
  } finally {
    stop.abort()
    await following
  }
}
