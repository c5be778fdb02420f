import type { LogBatch } from '#core/api.ts'
import type { Metrics } from '#core/service/metrics.ts'
import type { ServerSentEvent } from '../sse.ts'
import { LOST_PART, MISSING_PART } from './view.ts'

/** The same events, counted while they are sent to a reader. */
export type StreamMeter = (transport: 'sse' | 'websocket', route: string, events: AsyncIterable<ServerSentEvent>) => AsyncIterable<ServerSentEvent>

/** Measures the streams that are open, and what of logs goes through them. */
export function meterStreams(metrics: Metrics): StreamMeter {
  const open = metrics.level('rgrid_streams_open', 'Readers of server-sent events and of WebSockets', ['transport', 'route'])
  const sent = metrics.counter('rgrid_stream_events_total', 'Events that were sent to readers, by transport and route', ['transport', 'route'])
  const batches = metrics.counter('rgrid_log_followed_batches_total', 'Pieces of logs that were sent to followers')
  const bytes = metrics.counter('rgrid_log_followed_bytes_total', 'Bytes of output in them')
  const missing = metrics.counter('rgrid_log_missing_parts_total', 'Notices to followers that a part of a live log is missing')

  function countLog({ chunks }: LogBatch): void {
    batches.inc()
    for (const chunk of chunks) {
      if (chunk.stream === 'system' && (chunk.text === MISSING_PART || chunk.text === LOST_PART)) missing.inc()
      bytes.inc(chunk.base64 === undefined ? Buffer.byteLength(chunk.text ?? '') : Math.floor((chunk.base64.length * 3) / 4))
    }
  }

  return async function* metered(transport, route, events) {
    open.inc({ transport, route })
    try {
      for await (const event of events) {
        yield event
        sent.inc({ transport, route })
        if (event.event === 'log') countLog(event.data as LogBatch)
      }
    } finally {
      open.dec({ transport, route })
    }
  }
}
