import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Problem } from '#core/api.ts'
import { ERROR_CODES, type RGridError } from '#core/errors.ts'

/** What a client is asked to wait when something behind the gateway is away, in seconds. */
const RETRY_AFTER_SECONDS = 5

/** An error as a problem document (RFC 9457). */
export function toProblem(error: RGridError, requestId: string): Problem {
  const { status, title } = ERROR_CODES[error.code]
  return {
    type: `https://rgrid.dev/errors/${error.code}`,
    title,
    status,
    detail: error.code === 'internal' ? 'Something went wrong on our side; the request id finds it in the log' : error.message,
    code: error.code,
    requestId,
    ...(error.issues.length > 0 ? { errors: [...error.issues] } : {}),
  }
}

/** Sends an error as a problem document. */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, error: RGridError): FastifyReply {
  const problem = toProblem(error, request.id)
  const retryAfter = error.retryAfterSeconds ?? (error.code === 'unavailable' ? RETRY_AFTER_SECONDS : undefined)
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter)
  // What else it sends would be taken for the rest.
  if (error.code === 'timeout') reply.header('connection', 'close')
  if (error.code === 'unauthenticated') reply.header('www-authenticate', 'Bearer')
  return reply.code(problem.status).type('application/problem+json').send(JSON.stringify(problem))
}
