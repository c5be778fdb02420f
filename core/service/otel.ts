import { type Context, createTraceState, ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import { defaultResource, detectResources, envDetector, resourceFromAttributes, serviceNameEnvDetector } from '@opentelemetry/resources'
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import { errorText } from '../errors.ts'
import { withDeadline } from './time.ts'
import type { Span, SpanOptions, Tracing, TracingEnv } from './trace.ts'
import type { TraceContext } from './trace-context.ts'

/** Spans that wait; more are dropped. */
const QUEUE = 2048
const BATCH = 512
/** One export may take so long, its retries included; meanwhile spans wait. */
const EXPORT_MS = 10_000
/** The process does not stay for its traces. */
const STOP_MS = 2000
const KINDS = { server: SpanKind.SERVER, consumer: SpanKind.CONSUMER, internal: SpanKind.INTERNAL } as const

/**
 * The OpenTelemetry side of `openTracing`, in a file of its own as only this loads the library. `told` hears of each export
 * how many spans it was, and why they were not taken.
 */
export function createTracing(process: string, env: TracingEnv, told: (spans: number, error?: string) => void): Tracing {
  const exporter = new OTLPTraceExporter({
    url: `${env.OTEL_EXPORTER_OTLP_ENDPOINT?.replace(/\/+$/, '')}/v1/traces`,
    headers: parseHeaders(env.OTEL_EXPORTER_OTLP_HEADERS ?? ''),
    timeoutMillis: EXPORT_MS,
  })
  const provider = new TracerProvider({
    // The standard variables (OTEL_SERVICE_NAME, OTEL_RESOURCE_ATTRIBUTES) have the last word.
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.name': `rgrid-${process}`, 'service.namespace': 'rgrid' }))
      .merge(detectResources({ detectors: [envDetector, serviceNameEnvDetector] })),
    sampler: samplerOf(env),
    spanLimits: { attributeValueLengthLimit: 256, attributeCountLimit: 32 },
    spanProcessors: [
      new BatchSpanProcessor({
        exporter: toldExporter(exporter, told),
        maxQueueSize: QUEUE,
        maxExportBatchSize: BATCH,
        scheduledDelayMillis: env.OTEL_BSP_SCHEDULE_DELAY,
        exportTimeoutMillis: EXPORT_MS + 1000,
      }),
    ],
  })
  const tracer = provider.getTracer('rgrid')
  return {
    tracer: {
      span: (name, options = {}) => wrap(tracer.startSpan(name, startOptions(options), parentContext(options.parent))),
    },
    stop: () => withDeadline('sending the last traces', STOP_MS, () => provider.shutdown()).catch(() => undefined),
  }
}

function startOptions({ kind = 'internal', startMs, attributes }: SpanOptions) {
  return { kind: KINDS[kind], ...(startMs === undefined ? {} : { startTime: new Date(startMs) }), ...(attributes ? { attributes: { ...attributes } } : {}) }
}

function parentContext(parent: TraceContext | undefined): Context {
  if (!parent) return ROOT_CONTEXT
  const [, traceId = '', spanId = '', flags = ''] = parent.traceparent.split('-')
  const state = parent.tracestate === null ? {} : { traceState: createTraceState(parent.tracestate) }
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true, ...state })
}

function wrap(span: ReturnType<ReturnType<TracerProvider['getTracer']>['startSpan']>): Span {
  const { traceId, spanId, traceFlags, traceState } = span.spanContext()
  const flags = traceFlags.toString(16).padStart(2, '0')
  let ended = false
  return {
    context: { traceparent: `00-${traceId}-${spanId}-${flags}`, tracestate: traceState?.serialize() || null },
    set: (attributes) => void span.setAttributes({ ...attributes }),
    end(error) {
      if (ended) return
      ended = true
      if (error !== undefined) {
        // Not its text: it may be about what a user sent.
        span.setAttribute('error.type', error instanceof Error ? error.name : typeof error)
        span.setStatus({ code: SpanStatusCode.ERROR })
      }
      span.end()
    },
  }
}

function toldExporter(exporter: OTLPTraceExporter, told: (spans: number, error?: string) => void): SpanExporter {
  return {
    export(spans, done) {
      exporter.export(spans, (result) => {
        if (result.code === 0) told(spans.length)
        else told(spans.length, errorText(result.error ?? 'unknown'))
        // The processor only wants to know that it is over: a failure is told here.
        done({ code: 0 })
      })
    },
    shutdown: () => exporter.shutdown(),
    forceFlush: () => exporter.forceFlush(),
  }
}

function samplerOf({ OTEL_TRACES_SAMPLER: name, OTEL_TRACES_SAMPLER_ARG: share }: TracingEnv): Sampler {
  const root = name.endsWith('always_on') ? new AlwaysOnSampler() : name.endsWith('always_off') ? new AlwaysOffSampler() : new TraceIdRatioBasedSampler(share)
  return name.startsWith('parentbased_') ? new ParentBasedSampler({ root }) : root
}

/** https://opentelemetry.io/docs/specs/otel/protocol/exporter/: as W3C Baggage, values are URL-encoded. */
function parseHeaders(text: string): Record<string, string> {
  const pairs = text.split(',').filter((pair) => pair.includes('='))
  return Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf('=')).trim(), decode(pair.slice(pair.indexOf('=') + 1).trim())]))
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
