import { createHash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The answer has an ETag, and is not sent again to a client that has it. */
    revalidated?: true
  }
}

/**
 * Gives answers of routes that say `config.revalidated` an ETag, and answers 304 without a body to whoever has them already
 * (If-None-Match, RFC 9110, section 13.1.2). It is a weak one, as the same answer may be sent compressed or not. Register it
 * before what compresses.
 */
export function revalidateAnswers(app: FastifyInstance): void {
  app.addHook('onSend', async (request, reply, payload) => {
    if (!request.routeOptions.config.revalidated || reply.statusCode !== 200 || typeof payload !== 'string') return payload
    const etag = `W/"${createHash('sha256').update(payload).digest('base64url').slice(0, 27)}"`
    // Of one caller; and asked for each time, as it may change at any time.
    const vary = [reply.getHeader('vary'), 'authorization, x-rgrid-key, x-rgrid-account'].filter((part) => part !== undefined)
    reply.headers({ etag, 'cache-control': 'private, no-cache', vary: vary.join(', ') })
    if (!matches(request.headers['if-none-match'], etag)) return payload
    reply.code(304).removeHeader('content-type').removeHeader('content-length')
    return null
  })
}

/** By weak comparison (RFC 9110, section 8.8.3.2). */
function matches(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false
  const plain = etag.replace(/^W\//, '')
  return header.split(',').some((candidate) => candidate.trim() === '*' || candidate.trim().replace(/^W\//, '') === plain)
}

/** Options of a route whose answer is revalidated. */
export function revalidated<T extends { config: object }>(options: T): T & { config: { revalidated: true } } {
  return { ...options, config: { ...options.config, revalidated: true } }
}
