import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { Span, Tracer } from '#core/service/trace.ts'
import { formatTraceContext, readTraceContext, traceIdOf } from '#core/service/trace-context.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by traceRequests. */
    span: Span | null
  }
}

/**
 * Takes up the trace of the caller (W3C Trace Context), and makes a span of each request but those that only ask for health
 * or for documents. Lines that are logged for the request name the trace.
 */
export function traceRequests(app: FastifyInstance, tracer: Tracer): void {
  app.decorateRequest('span', null)
  app.addHook('onRequest', async (request, reply) => {
    const { url: route = 'none', schema } = request.routeOptions
    if ((schema as { hide?: boolean } | undefined)?.hide) return
    request.span = tracer.span(`${request.method} ${route}`, {
      parent: readTraceContext(request.headers.traceparent, request.headers.tracestate),
      kind: 'server',
      attributes: { 'http.request.method': request.method, 'http.route': route, 'rgrid.request.id': request.id },
    })
    const traceId = traceIdOf(request.span.context)
    if (traceId !== undefined) request.log = reply.log = request.log.child({ traceId })
  })
  app.addHook('onResponse', async ({ span }, reply) => {
    span?.set({ 'http.response.status_code': reply.statusCode })
    span?.end(reply.statusCode >= 500 ? new FailedRequest() : undefined)
  })
  app.addHook('onRequestAbort', async ({ span }) => span?.end())
}

/** The trace that what a request makes belongs to, as it is stored; undefined without one. */
export function traceOf({ span }: FastifyRequest): string | undefined {
  return span?.context && formatTraceContext(span.context)
}

class FailedRequest extends Error {
  override readonly name = '5xx'
}
