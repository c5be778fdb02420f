import { once } from 'node:events'
import type { OutgoingHttpHeaders } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { errorText } from '#core/errors.ts'
import { after, every } from '#core/service/time.ts'
import { whileAllowed } from './access/authorise.ts'

const HEARTBEAT_MS = 10_000
/** How long a reader may take for the last bytes before the connection is cut. */
const LAST_BYTES_MS = 2000
/** After what time clients connect again to a gateway that stopped. */
const RETRY_MS = { from: 500, to: 2500 }

/** One event: `event` is its name, `id` what a client that connects again sends as `Last-Event-ID`. */
export interface ServerSentEvent {
  event?: string
  id?: string
  data: unknown
}

/**
 * Answers with server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html). Waits for a slow
 * reader, so that it costs a bounded amount of memory; ends when the events do, when the reader goes, or when the
 * gateway stops.
 */
export async function sendEvents(
  request: FastifyRequest,
  reply: FastifyReply,
  stopping: AbortSignal,
  events: (signal: AbortSignal) => AsyncIterable<ServerSentEvent>,
): Promise<void> {
  const gone = new AbortController()
  const signal = AbortSignal.any([stopping, gone.signal])
  const raw = reply.raw
  reply.hijack()
  raw.on('close', () => gone.abort())
  // Gone before we listened.
  if (raw.destroyed) gone.abort()
  // A write after the reader has gone is an error event, and one that nobody hears ends the process.
  raw.on('error', () => gone.abort())
  raw.writeHead(200, {
    // What every answer carries.
    ...(reply.getHeaders() as OutgoingHttpHeaders),
    'content-type': 'text/event-stream; charset=utf-8',
    'x-accel-buffering': 'no',
    // Kept alive after its end it would keep a gateway that stops from closing.
    connection: 'close',
  })
  raw.flushHeaders()
  const write = async (text: string) => {
    if (!raw.write(text)) await once(raw, 'drain', { signal })
  }
  const stopLooking = whileAllowed(request, () => gone.abort())
  const stopHeartbeat = every(HEARTBEAT_MS, () => {
    // Whoever does not read what there is needs no sign of life.
    if (!raw.writableNeedDrain) raw.write(': alive\n\n')
  })
  try {
    for await (const { event, id, data } of request.server.meterStream('sse', request.routeOptions.url ?? 'none', events(signal))) {
      const head = `${event === undefined ? '' : `event: ${event}\n`}${id === undefined ? '' : `id: ${id}\n`}`
      await write(`${head}data: ${JSON.stringify(data)}\n\n`)
    }
  } catch (error) {
    // Too late for a status code: the client sees the connection end without `end`, and connects again.
    if (!signal.aborted) request.log.warn({ error: errorText(error) }, 'an event stream broke')
  } finally {
    stopHeartbeat()
    stopLooking()
    if (stopping.aborted && !gone.signal.aborted) raw.write(`: the gateway stops; connect again\nretry: ${retryMs()}\n\n`)
    raw.end()
    const cut = after(LAST_BYTES_MS, () => raw.destroy())
    raw.once('close', cut)
  }
}

/** Spread, so that the followers of a gateway that stops do not all come to the next one at once. */
function retryMs(): number {
  return RETRY_MS.from + Math.floor(Math.random() * (RETRY_MS.to - RETRY_MS.from))
}
