import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { FastifyInstance } from 'fastify'
import { RGridError } from '#core/errors.ts'
import type { HttpOptions } from '../http-options.ts'

/** What every answer says to browsers: it is no page, nobody frames it, nothing is guessed about it, it leads nowhere. */
export const SECURITY_HEADERS = {
  'x-content-type-options': 'nosniff',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-frame-options': 'DENY',
} as const

const REQUEST_ID = /^[\w.-]{1,64}$/
const MAX_ADDRESS_CHARACTERS = 8192

/**
 * The id of a request: the one that the client or a proxy gave it (`X-Request-Id`) when it is of harmless characters, so that
 * it can stand in logs and answers, else a new one.
 */
export function requestIdOf({ headers }: Pick<IncomingMessage, 'headers'>): string {
  const given = headers['x-request-id']
  return typeof given === 'string' && REQUEST_ID.test(given) ? given : randomUUID()
}

/** Sends with every answer the id of its request, that it is not to be kept, and SECURITY_HEADERS. */
export function sendHeaders(app: FastifyInstance, { hstsSeconds, corsOrigins }: Pick<HttpOptions, 'hstsSeconds' | 'corsOrigins'>): void {
  const always = {
    ...SECURITY_HEADERS,
    'cache-control': 'no-store',
    // Where pages of other origins may read answers, also those that isolate themselves.
    ...(corsOrigins.length > 0 ? { 'cross-origin-resource-policy': 'cross-origin' } : {}),
    ...(hstsSeconds > 0 ? { 'strict-transport-security': `max-age=${hstsSeconds}; includeSubDomains` } : {}),
  }
  app.addHook('onRequest', async (request, reply) => void reply.headers({ ...always, 'x-request-id': request.id }))
}

/** Refuses requests whose head nothing can take. */
export function checkHead(app: FastifyInstance): void {
  app.addHook('onRequest', async ({ url, raw }) => {
    if (raw.httpVersion === '1.1' && raw.headers.host === undefined) throw new RGridError('bad_request', 'the header Host is missing')
    if (url.length > MAX_ADDRESS_CHARACTERS)
      throw new RGridError('uri_too_long', `the address is ${url.length} characters long; at most ${MAX_ADDRESS_CHARACTERS} are taken`)
    // No text of ours holds NUL and Postgres takes none, so it is refused here, once for all parameters.
    if (/%00/.test(url)) throw new RGridError('bad_request', 'the address holds NUL (%00)')
  })
}
