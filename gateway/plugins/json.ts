import type { FastifyInstance } from 'fastify'
import { RGridError } from '#core/errors.ts'

/** Nothing that we take is nested nearly as deep; what walks a document by recursion is safe below it. */
const MAX_DEPTH = 64
const QUOTE = 0x22
const BACKSLASH = 0x5c
const OPENING: readonly (number | undefined)[] = [0x5b, 0x7b]
const CLOSING: readonly (number | undefined)[] = [0x5d, 0x7d]

/** Reads bodies as JSON in UTF-8 (RFC 8259) and nothing else: no other charset, no content coding, no bottomless nesting. */
export function readJson(app: FastifyInstance): void {
  const parse = app.getDefaultJsonParser('error', 'error')
  app.removeAllContentTypeParsers()
  app.addHook('onRequest', async (request, reply) => {
    const coding = request.headers['content-encoding']
    if (coding === undefined || coding === 'identity') return
    reply.header('accept-encoding', 'identity')
    throw new RGridError('unsupported_media_type', `Content-Encoding: bodies are taken as they are, not as ${coding}`)
  })
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body: Buffer, done) => {
    try {
      const charset = /;\s*charset="?([^";\s]*)/i.exec(request.headers['content-type'] ?? '')?.[1]
      if (charset !== undefined && !/^utf-?8$/i.test(charset))
        throw new RGridError('unsupported_media_type', `Content-Type: JSON is taken in UTF-8, not in ${charset}`)
      if (isDeep(body)) throw new RGridError('bad_request', `the body is nested deeper than ${MAX_DEPTH} levels`)
      void parse(request, decode(body), done)
    } catch (error) {
      done(error as Error, undefined)
    }
  })
}

function decode(body: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(body)
  } catch (error) {
    throw new RGridError('bad_request', 'the body is not well-formed UTF-8', { cause: error })
  }
}

/** Whether arrays and objects are nested deeper than that; looked at before anything is made of it. */
function isDeep(body: Buffer): boolean {
  let depth = 0
  let quoted = false
  for (let at = 0; at < body.length; at++) {
    const byte = body[at]
    if (quoted) {
      if (byte === BACKSLASH) at++
      else if (byte === QUOTE) quoted = false
    } else if (byte === QUOTE) quoted = true
    else if (OPENING.includes(byte) && ++depth > MAX_DEPTH) return true
    else if (CLOSING.includes(byte)) depth--
  }
  return false
}
