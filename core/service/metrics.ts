import { createServer } from 'node:http'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { errorText } from '../errors.ts'
import { listenAddress } from './config.ts'
import type { Log } from './log.ts'
import type { Service } from './run.ts'
import { withDeadline } from './time.ts'

/** A value that is read when the metrics are asked for: a number, or one for each value of the metric's label. */
export type Reading = number | Readonly<Record<string, number>>

/** The metrics of a process. Only decorators hold them: what does the work does not know that it is measured. */
export interface Metrics {
  /** Counts what it is told, by labels. */
  counter<L extends string = never>(name: string, help: string, labels?: readonly L[]): Counter<L>
  /** Counts what it is told into ranges that end at `buckets`, by labels. */
  histogram<L extends string>(name: string, help: string, labels: readonly L[], buckets: readonly number[]): Histogram<L>
  /** Is read anew each time; absent while that fails or takes too long, as an old value would look like a true one. */
  gauge(name: string, help: string, read: () => Reading | Promise<Reading>, label?: string): void
  /** A count that someone else keeps, read each time. */
  total(name: string, help: string, read: () => number): void
  /** All of them in the text format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/). */
  render(): Promise<string>
  readonly contentType: string
}

const READ_DEADLINE_MS = 2000

/** Makes the metrics of a process; `processMetrics` adds its memory, processor time, event loop and garbage collection. */
export function createMetrics(processMetrics = false): Metrics {
  const registry = new Registry()
  const registers = [registry]
  if (processMetrics) collectDefaultMetrics({ register: registry })

  async function refresh(gauge: Gauge, name: string, label: string | undefined, read: () => Reading | Promise<Reading>): Promise<void> {
    const reading = await withDeadline(name, READ_DEADLINE_MS, async () => read()).catch(() => undefined)
    if (label === undefined) gauge.remove()
    else gauge.reset()
    if (typeof reading === 'number') gauge.set(reading)
    else for (const [value, count] of Object.entries(reading ?? {})) gauge.set({ [label ?? '']: value }, count)
  }

  return {
    counter: (name, help, labels = []) => new Counter({ name, help, labelNames: labels, registers }),
    histogram: (name, help, labels, buckets) => new Histogram({ name, help, labelNames: labels, buckets: [...buckets], registers }),
    gauge(name, help, read, label) {
      const gauge: Gauge = new Gauge({
        name,
        help,
        labelNames: label === undefined ? [] : [label],
        registers,
        collect: () => refresh(gauge, name, label, read),
      })
    },
    total(name, help, read) {
      const counter: Counter = new Counter({
        name,
        help,
        registers,
        collect() {
          counter.reset()
          counter.inc(read())
        },
      })
    },
    render: () => registry.metrics(),
    contentType: registry.contentType,
  }
}

/**
 * Serves `GET /metrics` at an address of its own, or nowhere without one. Metrics need no key, so they must not be where
 * strangers can ask.
 */
export function metricsListener(metrics: Metrics, address: string | undefined, log: Log): Service[] {
  if (address === undefined) return []
  const server = createServer((request, response) => {
    if (request.method !== 'GET' || request.url?.split('?')[0] !== '/metrics') return void response.writeHead(404).end()
    metrics.render().then(
      (text) => response.writeHead(200, { 'content-type': metrics.contentType }).end(text),
      (error: unknown) => {
        log.warn({ error: errorText(error) }, 'metrics could not be read')
        response.writeHead(500).end()
      },
    )
  })
  return [
    {
      name: 'metrics',
      async start() {
        const { promise, resolve, reject } = Promise.withResolvers<void>()
        server.once('error', reject)
        server.listen(listenAddress(address), resolve)
        await promise
      },
      async stop() {
        server.closeAllConnections()
        if (server.listening) await new Promise((resolve) => server.close(resolve))
      },
    },
  ]
}
