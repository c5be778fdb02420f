import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Problem } from '#core/api.ts'
import { ERROR_CODES, type ErrorCode, RGridError } from '#core/errors.ts'
import { isAway } from '#core/service/away.ts'

/** What a client is asked to wait when something behind the gateway is away, in seconds. */
const RETRY_AFTER_SECONDS = 5

/** Makes every error a problem document (RFC 9457), also those that the framework finds. */
export function registerErrors(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const known = toRGridError(error)
    if (known.code === 'internal') request.log.error({ error: error.message, stack: error.stack }, 'request failed')
    return sendProblem(request, reply, known)
  })
  app.setNotFoundHandler((request, reply) => {
    const allowed = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'].filter(
      (method) => method !== request.method && app.findRoute({ method, url: request.url.split('?')[0] ?? '' }),
    )
    if (allowed.length > 0) {
      reply.header('allow', allowed.join(', '))
      return sendProblem(request, reply, new RGridError('method_not_allowed', `${request.method} is not possible here; ${allowed.join(', ')} is`))
    }
    return sendProblem(
      request,
      reply,
      new RGridError('not_found', `there is nothing at ${request.method} ${request.url.split('?')[0]}; /openapi.json lists what there is`),
    )
  })
}

/** For errors that the router finds before there is a route. */
export function sendFrameworkError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  void sendProblem(request, reply.headers({ 'x-request-id': request.id, 'x-content-type-options': 'nosniff' }), toRGridError(error))
}

/** Sends an error as a problem document. */
export function sendProblem(request: FastifyRequest, reply: FastifyReply, error: RGridError): FastifyReply {
  const { status, title } = ERROR_CODES[error.code]
  const problem: Problem = {
    type: `https://rgrid.dev/errors/${error.code}`,
    title,
    status,
    detail: error.code === 'internal' ? 'Something went wrong on our side; the request id finds it in the log' : error.message,
    code: error.code,
    requestId: request.id,
    ...(error.issues.length > 0 ? { errors: [...error.issues] } : {}),
  }
  const retryAfter = error.retryAfterSeconds ?? (error.code === 'unavailable' ? RETRY_AFTER_SECONDS : undefined)
  if (retryAfter !== undefined) reply.header('retry-after', retryAfter)
  if (error.code === 'unauthenticated') reply.header('www-authenticate', 'Bearer')
  return reply.code(status).type('application/problem+json').send(JSON.stringify(problem))
}

const FRAMEWORK_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'too_large',
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'bad_request',
  FST_ERR_CTP_INVALID_JSON_BODY: 'bad_request',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'bad_request',
  FST_ERR_BAD_URL: 'bad_request',
  FST_ERR_MAX_PARAM_LENGTH: 'bad_request',
}

function toRGridError(error: FastifyError): RGridError {
  if (error instanceof RGridError) return error
  if (error.validation) {
    const issues = error.validation.map((fault) => {
      const missing = (fault.params as { missingProperty?: string; additionalProperty?: string }) ?? {}
      const at = `${fault.instancePath}/${missing.missingProperty ?? missing.additionalProperty ?? ''}`.split('/').filter((part) => part !== '')
      return { path: at.join('.') || (error.validationContext ?? 'body'), message: fault.message ?? 'is not valid' }
    })
    return new RGridError('validation', `${issues[0]?.path}: ${issues[0]?.message}`, { issues })
  }
  const code = FRAMEWORK_CODES[error.code ?? '']
  if (code) return new RGridError(code, error.message)
  if (error instanceof SyntaxError || (error.statusCode === 400 && !error.code))
    return new RGridError('bad_request', `the body cannot be read as JSON: ${error.message}`)
  if (isAway(error)) return new RGridError('unavailable', 'a server behind the gateway does not answer at the moment; try again', { cause: error })
  return new RGridError('internal', error.message, { cause: error })
}
