import { createParser } from 'eventsource-parser'
import { withDeadline } from '#core/service/time.ts'

/** One server-sent event. */
export interface StreamEvent {
  event: string
  id: string | undefined
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever was sent
  data: any
}

/** A stream of events that is being read. */
export interface EventStream {
  /** The next event; undefined when the stream has ended. Rejects when none comes in time. */
  next(): Promise<StreamEvent | undefined>
  /** All events until one fits, with it. */
  until(fits: (event: StreamEvent) => boolean): Promise<StreamEvent[]>
  /** Comments that came. */
  comments: string[]
  close(): void
}

/** Opens one. */
export async function openEvents(url: string, headers: Record<string, string>): Promise<EventStream> {
  const stop = new AbortController()
  const response = await fetch(url, { headers: { accept: 'text/event-stream', ...headers }, signal: stop.signal })
  if (response.status !== 200 || !response.body) throw new Error(`${response.status}: ${await response.text()}`)
  const comments: string[] = []
  const events: StreamEvent[] = []
  const parser = createParser({
    onEvent: ({ event, id, data }) => events.push({ event: event ?? 'message', id, data: JSON.parse(data) }),
    onComment: (comment) => comments.push(comment),
  })
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader()
  const next = () =>
    withDeadline('the next event', 60_000, async () => {
      while (events.length === 0) {
        const { done, value } = await reader.read()
        if (done) return undefined
        parser.feed(value)
      }
      return events.shift()
    })
  return {
    next,
    comments,
    async until(fits) {
      const seen: StreamEvent[] = []
      for (;;) {
        const event = await next()
        if (!event) throw new Error(`the stream ended after ${JSON.stringify(seen)}`)
        seen.push(event)
        if (fits(event)) return seen
      }
    },
    close: () => stop.abort(),
  }
}

/** The attempt and number of a log message, such as `1.17`, out of the id of an event; behind it may stand where it was read. */
export function messageOf(id: string | undefined): string | undefined {
  return id?.split('.').slice(0, 2).join('.')
}
