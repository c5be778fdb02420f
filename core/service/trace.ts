import { type Static, Type } from '@sinclair/typebox'
import type { Log } from './log.ts'
import type { Metrics } from './metrics.ts'
import type { TraceContext } from './trace-context.ts'

/** What is known of a span; ids of objects may be among it, nothing that a user sent. */
export type Attributes = Readonly<Record<string, string | number | boolean>>

/** How a span begins. */
export interface SpanOptions {
  /** What it was caused by; without it a trace begins. */
  parent?: TraceContext | undefined
  kind?: 'server' | 'consumer' | 'internal'
  /** When, milliseconds since 1970, if not now. */
  startMs?: number
  attributes?: Attributes
}

/** A piece of work in a trace. */
export interface Span {
  /** Where what it causes belongs. Without tracing this is its parent, so that a stranger's trace goes on all the same. */
  readonly context: TraceContext | undefined
  set(attributes: Attributes): void
  /** Ends it; the first call counts. With an error it is marked as failed, by the class of the error alone. */
  end(error?: unknown): void
}

/** Makes spans. */
export interface Tracer {
  span(name: string, options?: SpanOptions): Span
}

/** Makes spans of nothing: without a collector. */
export const NO_TRACER: Tracer = {
  span: (_, options) => ({ context: options?.parent, set: () => undefined, end: () => undefined }),
}

/** Variables of OpenTelemetry; part of the schema of each process. Others of the exporter's are read by the library itself. */
export const TracingEnv = {
  OTEL_EXPORTER_OTLP_ENDPOINT: Type.Optional(
    Type.String({ pattern: '^https?://', description: 'OTLP/HTTP collector that traces are sent to, such as http://127.0.0.1:4318; without it none are made' }),
  ),
  OTEL_EXPORTER_OTLP_HEADERS: Type.Optional(Type.String({ description: 'headers for it: key=value, separated by commas' })),
  OTEL_TRACES_SAMPLER: Type.String({
    default: 'parentbased_always_on',
    pattern: '^(parentbased_)?(always_on|always_off|traceidratio)$',
    description: 'which traces are sent: always_on, always_off, traceidratio, each also as parentbased_…, which goes by the caller’s wish first',
  }),
  OTEL_TRACES_SAMPLER_ARG: Type.Number({ default: 1, minimum: 0, maximum: 1, description: 'the share of traces for traceidratio' }),
  OTEL_BSP_SCHEDULE_DELAY: Type.Integer({ default: 5000, minimum: 10, maximum: 60_000, description: 'how long spans are gathered before they are sent, ms' }),
} as const
const TracingSchema = Type.Object(TracingEnv)
/** What the variables say. */
export type TracingEnv = Static<typeof TracingSchema>

/** Tracing of a process. */
export interface Tracing {
  tracer: Tracer
  /** Sends what is left, for a short while. */
  stop(): Promise<void>
}

/**
 * Sends traces where the environment says; without an address nothing is loaded and spans cost nothing. A collector that is
 * away or slow delays nobody: spans wait in a bounded queue and are then dropped.
 */
export async function openTracing(process: string, env: TracingEnv, metrics: Metrics, log: Log): Promise<Tracing> {
  const spans = metrics.counter('rgrid_trace_spans_total', 'Spans of traces, by whether the collector took them', ['result'])
  for (const result of ['exported', 'failed']) spans.inc({ result }, 0)
  if (env.OTEL_EXPORTER_OTLP_ENDPOINT === undefined) return { tracer: NO_TRACER, stop: async () => undefined }
  const { createTracing } = await import('./otel.ts')
  let failing = false
  return createTracing(process, env, (count, error) => {
    spans.inc({ result: error === undefined ? 'exported' : 'failed' }, count)
    // Once for each outage.
    if (error !== undefined && !failing) log.warn({ spans: count, error }, 'the collector does not take traces; they are dropped')
    failing = error !== undefined
  })
}
