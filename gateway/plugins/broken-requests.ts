import { randomUUID } from 'node:crypto'
import { type Server, type ServerResponse, STATUS_CODES } from 'node:http'
import type { Duplex } from 'node:stream'
import { RGridError } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { SECURITY_HEADERS } from './headers.ts'
import { toProblem } from './problem.ts'

/** What the parser of Node says, and what it is to the client; whatever else it says is a request that cannot be read. */
const CODES: Readonly<Record<string, RGridError>> = {
  HPE_HEADER_OVERFLOW: new RGridError('headers_too_large', 'the address and the headers are larger than 16 KiB'),
  HPE_CHUNK_EXTENSIONS_OVERFLOW: new RGridError('too_large', 'the extensions of a chunk are too large'),
  ERR_HTTP_REQUEST_TIMEOUT: new RGridError('timeout', 'the request did not arrive in time; send its headers and body without pausing'),
}

/** A broken request, told by the server. */
type ClientError = Error & { code?: string; reason?: string }

/** Answers, as problem documents, what never becomes a request: HTTP that is malformed or stops half-way. */
export function answerBrokenRequests(log: Log): { onClientError(error: ClientError, socket: Duplex): void; watch(server: Server): void } {
  const answers = new WeakMap<Duplex, ServerResponse>()

  function refuse(socket: Duplex, error: RGridError): void {
    const begun = answers.get(socket)
    // What an answer has begun cannot be followed by another.
    if (!socket.writable || (begun?.headersSent && !begun.writableFinished)) return void socket.destroy()
    const requestId = randomUUID()
    const { status, ...problem } = toProblem(error, requestId)
    log.info({ requestId, status, cause: error.code }, 'a request could not be read')
    const body = JSON.stringify({ ...problem, status })
    const headers = {
      ...SECURITY_HEADERS,
      'cache-control': 'no-store',
      'content-type': 'application/problem+json; charset=utf-8',
      'content-length': Buffer.byteLength(body),
      'x-request-id': requestId,
      connection: 'close',
      ...(status === 405 ? { allow: 'GET, HEAD, POST, PUT, PATCH, DELETE' } : {}),
    }
    const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.end(`HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${body}`)
  }

  return {
    onClientError(error, socket) {
      if (error.code === 'ECONNRESET' || socket.destroyed) return
      refuse(socket, CODES[error.code ?? ''] ?? new RGridError('bad_request', `this is no HTTP that can be read: ${error.reason ?? error.message}`))
    },
    watch(server) {
      server.on('request', (request, response) => answers.set(request.socket, response))
      // RFC 9110, section 10.1.1, leaves it to us what to do with expectations that are not known.
      server.on('checkExpectation', (request, response) => server.emit('request', request, response))
      server.on('connect', (_, socket) => refuse(socket, new RGridError('method_not_allowed', 'this is no proxy')))
    },
  }
}
