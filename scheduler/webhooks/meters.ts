import type { Metrics } from '#core/service/metrics.ts'
import type { Send } from './send.ts'

/** The same sender, with what came of each message counted, and how long it took. */
export function meterSender(metrics: Metrics, send: Send): Send {
  const tries = metrics.counter('rgrid_webhook_tries_total', 'Webhooks sent, by what came of it: taken is a status of 2xx, answered any other', ['outcome'])
  const seconds = metrics.histogram('rgrid_webhook_seconds', 'How long sending a webhook took', ['outcome'], [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15])
  return async (message, signal) => {
    const answer = await send(message, signal)
    tries.inc({ outcome: answer.outcome })
    seconds.observe({ outcome: answer.outcome }, answer.durationMs / 1000)
    return answer
  }
}
