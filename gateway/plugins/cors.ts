import cors from '@fastify/cors'
import type { FastifyInstance } from 'fastify'

/** What pages may read of answers besides their bodies. */
const EXPOSED = ['ETag', 'Idempotency-Replayed', 'Link', 'Location', 'RateLimit', 'RateLimit-Policy', 'Retry-After', 'X-Request-Id'] as const
const ASKED = [
  'Authorization',
  'Content-Type',
  'Idempotency-Key',
  'If-None-Match',
  'Last-Event-ID',
  'Traceparent',
  'Tracestate',
  'X-Request-Id',
  'X-RGrid-Account',
  'X-RGrid-Key',
] as const
const PREFLIGHT_SECONDS = 3600

/**
 * Lets pages of these origins call the API from a browser (https://fetch.spec.whatwg.org/#http-cors-protocol); without any,
 * none. Never with cookies: there are none, and each request shows its credential.
 */
export async function allowOrigins(app: FastifyInstance, origins: readonly string[]): Promise<void> {
  if (origins.length === 0) return
  await app.register(cors, {
    origin: origins.includes('*') ? '*' : [...origins],
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    allowedHeaders: [...ASKED],
    exposedHeaders: [...EXPOSED],
    maxAge: PREFLIGHT_SECONDS,
    credentials: false,
  })
}
