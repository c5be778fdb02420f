import { createServer } from 'node:http'
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { errorText } from '../errors.ts'
import { listenAddress } from './config.ts'
import type { Log } from './log.ts'
import type { Service } from './run.ts'
import { withDeadline } from './time.ts'

/** A value that is read when the metrics are asked for: a number, or one for each value of the metric's label. */
export type Reading = number | Readonly<Record<string, number>>

/** One value of a gauge with several labels. */
export interface Sample<L extends string> {
  labels: Readonly<Record<L, string>>
  value: number
}

/** The metrics of a process. Only decorators hold them: what does the work does not know that it is measured. */
export interface Metrics {
  /** Counts what it is told, by labels. */
  counter<L extends string = never>(name: string, help: string, labels?: readonly L[]): Counter<L>
  /** Counts what it is told into ranges that end at `buckets`, by labels. */
  histogram<L extends string>(name: string, help: string, labels: readonly L[], buckets: readonly number[]): Histogram<L>
  /** Is read anew each time; absent while that fails or takes too long, as an old value would look like a true one. */
  gauge(name: string, help: string, read: () => Reading | Promise<Reading>, label?: string): void
  /** The same with several labels. */
  gauges<L extends string>(name: string, help: string, labels: readonly L[], read: () => Promise<readonly Sample<L>[]>): void
  /** Is set, or counted up and down, by what is measured. */
  level<L extends string = never>(name: string, help: string, labels?: readonly L[]): Gauge<L>
  /** A count that someone else keeps, read each time. */
  total(name: string, help: string, read: () => number | Promise<number>): void
  /** All of them in the text format of Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats/). */
  render(): Promise<string>
  readonly contentType: string
}

const READ_DEADLINE_MS = 2000

/** Ends of ranges, in seconds, for what takes milliseconds when all is well. */
export const QUICK_BUCKETS: readonly number[] = [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
/** The same for what may take hours. */
export const LONG_BUCKETS: readonly number[] = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 14_400]

/** Makes the metrics of a process; `processMetrics` adds its memory, processor time, event loop and garbage collection. */
export function createMetrics(processMetrics = false): Metrics {
  const registry = new Registry()
  const registers = [registry]
  if (processMetrics) collectDefaultMetrics({ register: registry })

  function tryRead<T>(name: string, read: () => T | Promise<T>): Promise<T | undefined> {
    return withDeadline(name, READ_DEADLINE_MS, async () => read()).catch(() => undefined)
  }

  async function refresh(gauge: Gauge, name: string, label: string | undefined, read: () => Reading | Promise<Reading>): Promise<void> {
    const reading = await tryRead(name, read)
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
    gauges(name, help, labels, read) {
      const gauge: Gauge = new Gauge({
        name,
        help,
        labelNames: [...labels],
        registers,
        async collect() {
          const samples = await tryRead(name, read)
          gauge.reset()
          for (const sample of samples ?? []) gauge.set(sample.labels, sample.value)
        },
      })
    },
    level: (name, help, labels = []) => new Gauge({ name, help, labelNames: labels, registers }),
    total(name, help, read) {
      const counter: Counter = new Counter({
        name,
        help,
        registers,
        // One that cannot be read stays where it was: a counter that falls looks like a process that began anew.
        async collect() {
          const total = await tryRead(name, read)
          if (total === undefined) return
          counter.reset()
          counter.inc(total)
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
