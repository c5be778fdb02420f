import type { FastifyInstance, FastifyRequest } from 'fastify'
import { RGridError } from '#core/errors.ts'
import type { Pace } from '../limits/pace.ts'

/** Nothing that we take is nested nearly as deep; what walks a document by recursion is safe below it. */
const MAX_DEPTH = 64
/** Each becomes an object of its own: a few megabytes of empty ones would take the process for half a second. */
const MAX_VALUES = 500_000
/** A larger body waits for its turn to be read. */
const LARGE_BYTES = 64 * 1024
const QUOTE = 0x22
const BACKSLASH = 0x5c
const [OPEN_LIST, CLOSE_LIST, OPEN_OBJECT, CLOSE_OBJECT] = [0x5b, 0x5d, 0x7b, 0x7d]

/** Reads a body as JSON, in the turn of its account where it is large. Throws `bad_request`, `unsupported_media_type` or `too_large`. */
export type ParseJson = (request: FastifyRequest, body: Buffer) => Promise<unknown>

declare module 'fastify' {
  interface FastifyInstance {
    parseJson: ParseJson
  }
}

/** Reads bodies as JSON in UTF-8 (RFC 8259) and nothing else: no other charset, no content coding, no bottomless nesting. */
export function readJson(app: FastifyInstance, pace: Pace): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addHook('onRequest', async (request, reply) => {
    const coding = request.headers['content-encoding']
    if (coding === undefined || coding === 'identity') return
    reply.header('accept-encoding', 'identity')
    throw new RGridError('unsupported_media_type', `Content-Encoding: bodies are taken as they are, not as ${coding}`)
  })
  const parseJson: ParseJson = async (request, body) => {
    if (body.length > LARGE_BYTES) await pace.turn(request.standing?.caller.accountId ?? request.ip)
    const charset = /;\s*charset="?([^";\s]*)/i.exec(request.headers['content-type'] ?? '')?.[1]
    if (charset !== undefined && !/^utf-?8$/i.test(charset))
      throw new RGridError('unsupported_media_type', `Content-Type: JSON is taken in UTF-8, not in ${charset}`)
    checkShape(body)
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    void parse(request, decode(body), (error, value) => (error ? reject(error) : resolve(value)))
    return promise
  }
  app.decorate('parseJson', parseJson)
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, parseJson)
}

function decode(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch (error) {
    throw new RGridError('bad_request', 'the body is not well-formed UTF-8', { cause: error })
  }
}

/** Throws when lists and objects are nested too deep, or are too many; looked at before anything is made of it. */
function checkShape(body: Buffer): void {
  let [depth, values] = [0, 0]
  let quoted = false
  for (let at = 0; at < body.length; at++) {
    const byte = body[at]
    if (quoted) {
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) quoted = false
    } else if (byte === QUOTE) quoted = true
    else if (byte === OPEN_LIST || byte === OPEN_OBJECT) {
      if (++depth > MAX_DEPTH) throw new RGridError('bad_request', `the body is nested deeper than ${MAX_DEPTH} levels`)
      if (++values > MAX_VALUES) throw new RGridError('too_large', `the body holds more than ${MAX_VALUES} objects and lists`)
    } else if (byte === CLOSE_LIST || byte === CLOSE_OBJECT) depth--
  }
}
