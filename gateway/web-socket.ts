import type { WebSocket } from '@fastify/websocket'
import type { FastifyRequest } from 'fastify'
import { errorText } from '#core/errors.ts'
import { after, every, untilAborted } from '#core/service/time.ts'
import { whileAllowed } from './access/authorise.ts'
import type { ServerSentEvent } from './sse.ts'

const PING_MS = 10_000
/** How long a reader may take for the last bytes before the connection is cut. */
const LAST_BYTES_MS = 2000
/** Close codes of RFC 6455, section 7.4, and the registry it made: the end; trouble here; the gateway stops, connect again. */
const CLOSE = { end: 1000, broken: 1011, stopping: 1012 } as const

/**
 * Sends events over a WebSocket, one text frame of JSON each. Waits for a slow reader, so that it costs a bounded amount of
 * memory; ends when the events do, when the reader goes or answers no ping, or when the gateway stops.
 */
export async function sendFrames(
  request: FastifyRequest,
  socket: WebSocket,
  stopping: AbortSignal,
  events: (signal: AbortSignal) => AsyncIterable<ServerSentEvent>,
): Promise<void> {
  const gone = new AbortController()
  const signal = AbortSignal.any([stopping, gone.signal])
  let answered = true
  socket.on('close', () => gone.abort())
  socket.on('error', () => gone.abort())
  socket.on('pong', () => {
    answered = true
  })
  const stopLooking = whileAllowed(request, () => gone.abort())
  const stopPings = every(PING_MS, () => {
    // One that does not read what there is cannot answer either.
    if (socket.bufferedAmount > 0) return
    if (!answered) return socket.terminate()
    answered = false
    socket.ping()
  })
  try {
    const metered = request.server.meterStream('websocket', request.routeOptions.url ?? 'none', events(signal))
    for await (const event of metered) await untilAborted(send(socket, JSON.stringify(event)), signal)
    socket.close(stopping.aborted ? CLOSE.stopping : CLOSE.end)
  } catch (error) {
    if (!signal.aborted) request.log.warn({ error: errorText(error) }, 'a WebSocket broke')
    socket.close(stopping.aborted ? CLOSE.stopping : CLOSE.broken)
  } finally {
    stopPings()
    stopLooking()
    const cut = after(LAST_BYTES_MS, () => socket.terminate())
    socket.once('close', cut)
  }
}

/** Resolves when the frame has left this process; rejects when the reader has gone. */
function send(socket: WebSocket, frame: string): Promise<void> {
  return new Promise((resolve, reject) => socket.send(frame, (error) => (error ? reject(error) : resolve())))
}
