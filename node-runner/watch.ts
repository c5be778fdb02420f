import type { Assignment } from '#bus/messages/claim.ts'
import { monotonicMs } from '#core/service/time.ts'
import type { Span, Tracer } from '#core/service/trace.ts'
import { readTraceContext, type TraceContext } from '#core/service/trace-context.ts'
import type { RunnerMeters } from './meters.ts'

/** The steps of an attempt that are measured, each with the one that it is a part of. */
const STEPS = {
  prepare: null,
  inputs: 'prepare',
  image: 'prepare',
  requirements: 'prepare',
  create: 'prepare',
  run: null,
  start: 'run',
  upload: null,
  archive: null,
} as const
/** One of them. */
export type Step = keyof typeof STEPS

/** Watches one attempt, for metrics and traces. */
export interface AttemptWatch {
  /** Where what the job does belongs. */
  context: TraceContext | undefined
  /** A step begins; the returned function ends it, once. */
  begin(step: Step): (error?: unknown) => void
  /** Does a step. */
  step<T>(step: Step, work: () => Promise<T>): Promise<T>
  /** The attempt is over, by this cause; without one it was given up. */
  end(cause?: string): void
}

/** Begins to watch an attempt; one that an earlier run began gets a span of its own. */
export function watchAttempt(assignment: Assignment, nodeId: string, meters: RunnerMeters, tracer: Tracer): AttemptWatch {
  const parent = readTraceContext(assignment.traceparent, assignment.tracestate)
  const { attemptId, attemptNumber, jobId } = assignment
  const attributes = { 'rgrid.job.id': jobId, 'rgrid.attempt.id': attemptId, 'rgrid.attempt.number': attemptNumber, 'rgrid.node.id': nodeId }
  // A job without a trace: nobody asked for one.
  const span = parent && tracer.span('attempt', { parent, kind: 'consumer', attributes })
  const open = new Map<Step, Span>()

  function begin(step: Step): (error?: unknown) => void {
    const startedMs = monotonicMs()
    const part = STEPS[step] === null ? undefined : open.get(STEPS[step] as Step)
    const own = span && tracer.span(step, { parent: (part ?? span).context })
    if (own) open.set(step, own)
    let over = false
    return (error) => {
      if (over) return
      over = true
      open.delete(step)
      meters.step(step, error === undefined, (monotonicMs() - startedMs) / 1000)
      own?.end(error)
    }
  }

  return {
    context: span?.context,
    begin,
    async step(step, work) {
      const end = begin(step)
      try {
        const result = await work()
        end()
        return result
      } catch (error) {
        // An image that has to be pulled first is no failure.
        end(step === 'create' && (error as { statusCode?: number }).statusCode === 404 ? undefined : error)
        throw error
      }
    },
    end(cause) {
      if (cause !== undefined) span?.set({ 'rgrid.attempt.cause': cause })
      span?.end()
    },
  }
}

/** The variables that let an instrumented program go on with the trace (https://opentelemetry.io/docs/specs/otel/context/env-carriers/). */
export function traceVariables(context: TraceContext | undefined): Record<string, string> {
  if (!context) return {}
  return { TRACEPARENT: context.traceparent, ...(context.tracestate === null ? {} : { TRACESTATE: context.tracestate }) }
}
