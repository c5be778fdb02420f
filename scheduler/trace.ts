import { nowMs } from '#core/service/time.ts'
import type { Tracer } from '#core/service/trace.ts'
import { parseTraceContext } from '#core/service/trace-context.ts'
import type { ClaimedJob } from '#store/claims.ts'

/** Makes the span of a job's stay in the queue, once it is over. Nothing for a job without a trace: nobody asked for one. */
export function traceQueued(tracer: Tracer, job: ClaimedJob): void {
  const parent = parseTraceContext(job.traceContext)
  if (!parent) return
  const span = tracer.span('job queued', {
    parent,
    startMs: nowMs() - job.queuedSeconds * 1000,
    attributes: { 'rgrid.job.id': job.jobId, 'rgrid.attempt.id': job.attemptId, 'rgrid.attempt.number': job.attemptNumber, 'rgrid.node.id': job.nodeId },
  })
  span.end()
}
