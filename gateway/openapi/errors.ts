import { Problem } from '#core/api.ts'
import { ERROR_CODES, type ErrorCode } from '#core/errors.ts'

/** What each error says, as an example. */
const DETAILS: Record<ErrorCode, string> = {
  validation: 'spec.timeoutSeconds: must be less than or equal to 86400',
  bad_request: 'the body cannot be read as JSON: Unexpected end of JSON input',
  unauthenticated: 'this API key is not known, or it is revoked or expired',
  forbidden: 'the API key needs the scope "jobs:write"',
  not_found: 'there is no job job_01kb0x4m5f7q2t9v3w8y6z1d4c in this project',
  method_not_allowed: 'DELETE is not possible here; GET, HEAD, POST is',
  conflict: 'job job_01kb0x4m5f7q2t9v3w8y6z1d4c has ended already: succeeded',
  gone: 'out/in.jpg is no longer kept: it is past the retention of artifacts of this project',
  limit_exceeded: 'the account may make 50 requests per second; try again in 1 s',
  timeout: 'the request did not arrive in time; send its headers and body without pausing',
  too_large: 'Request body is too large',
  uri_too_long: 'the address is 9000 characters long; at most 8192 are taken',
  unsupported_media_type: 'Content-Type: send application/json; batches may also be application/x-ndjson',
  headers_too_large: 'the address and the headers are larger than 16 KiB',
  unavailable: 'this gateway has more to do than it can; try again',
  internal: 'Something went wrong on our side; the request id finds it in the log',
}
const RETRY = new Set<ErrorCode>(['limit_exceeded', 'unavailable'])
const ref = (name: string) => ({ $ref: `#/components/headers/${name}` })

/** A problem document as an example of this error. */
function exampleOf(code: ErrorCode): Problem {
  const { status, title } = ERROR_CODES[code]
  const [path = '', message = ''] = DETAILS[code].split(/: (.*)/)
  return {
    type: `https://rgrid.dev/errors/${code}`,
    title,
    status,
    detail: DETAILS[code],
    code,
    requestId: '3a7f0f5e-6f0c-4f3e-9a51-0f5b6f6d2a11',
    ...(code === 'validation' ? { errors: [{ path, message }] } : {}),
  }
}

/** The answers that errors are, by their codes: `components.responses` of the document. */
export function errorResponses(): Record<string, object> {
  const responses = (Object.keys(ERROR_CODES) as ErrorCode[]).map((code) => [
    code,
    {
      description: `${ERROR_CODES[code].title} (\`${code}\`)`,
      headers: { 'X-Request-Id': ref('RequestId'), ...(RETRY.has(code) ? { 'Retry-After': ref('RetryAfter') } : {}) },
      content: { 'application/problem+json': { schema: Problem, example: exampleOf(code) } },
    },
  ])
  return Object.fromEntries(responses)
}

/** The errors that an operation may answer, by status; several of one status are told apart by their `code`. */
export function errorsOf(operation: { open: boolean; project: boolean; body: boolean; query: boolean; changes: boolean }): Record<string, { $ref: string }> {
  const { open, project, body, query, changes } = operation
  const codes: ErrorCode[] = [
    'bad_request',
    ...(open && !body ? [] : (['unauthenticated'] as const)),
    ...(open ? [] : (['forbidden', 'limit_exceeded'] as const)),
    ...(project || changes ? (['not_found'] as const) : []),
    ...(changes ? (['conflict'] as const) : []),
    ...(body ? (['too_large', 'unsupported_media_type'] as const) : []),
    ...(body || query ? (['validation'] as const) : []),
    'internal',
    'unavailable',
  ]
  return Object.fromEntries(codes.map((code) => [String(ERROR_CODES[code].status), { $ref: `#/components/responses/${code}` }]))
}
