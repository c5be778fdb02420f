import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { type ErrorCode, RGridError } from '#core/errors.ts'
import { isAway } from '#core/service/away.ts'
import { SECURITY_HEADERS } from './headers.ts'
import { sendProblem } from './problem.ts'

/** Makes every error a problem document (RFC 9457), also those that the framework finds. */
export function registerErrors(app: FastifyInstance): void {
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const known = toRGridError(error)
    if (known.code === 'internal') request.log.error({ error: error.message, stack: error.stack }, 'request failed')
    return sendProblem(request, reply, known)
  })
  app.setNotFoundHandler((request, reply) => {
    const allowed = ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'].filter(
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
  void sendProblem(request, reply.headers({ ...SECURITY_HEADERS, 'cache-control': 'no-store', 'x-request-id': request.id }), toRGridError(error))
}

const FRAMEWORK_CODES: Readonly<Record<string, ErrorCode>> = {
  FST_ERR_CTP_BODY_TOO_LARGE: 'too_large',
  FST_ERR_CTP_EMPTY_JSON_BODY: 'bad_request',
  FST_ERR_CTP_INVALID_JSON_BODY: 'bad_request',
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: 'bad_request',
  FST_ERR_BAD_URL: 'bad_request',
  FST_ERR_MAX_PARAM_LENGTH: 'uri_too_long',
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
  if (error.code === 'FST_ERR_CTP_INVALID_MEDIA_TYPE')
    return new RGridError('unsupported_media_type', 'Content-Type: send application/json; batches may also be application/x-ndjson')
  const code = FRAMEWORK_CODES[error.code ?? '']
  if (code) return new RGridError(code, error.message)
  if (error instanceof SyntaxError || (error.statusCode === 400 && !error.code))
    return new RGridError('bad_request', `the body cannot be read as JSON: ${error.message}`)
  if (isAway(error)) return new RGridError('unavailable', 'a server behind the gateway does not answer at the moment; try again', { cause: error })
  return new RGridError('internal', error.message, { cause: error })
}
