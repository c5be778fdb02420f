/**
 * The closed list of error codes. Each decides the HTTP status, the title of the problem document (RFC 9457)
 * and the exit code of the command line; `internal` is the only one that is logged as an error.
 */
export const ERROR_CODES = {
  validation: { status: 422, title: 'The request is not valid', exitCode: 2 },
  bad_request: { status: 400, title: 'The request cannot be read', exitCode: 2 },
  unauthenticated: { status: 401, title: 'No valid credential', exitCode: 4 },
  forbidden: { status: 403, title: 'The credential does not allow this', exitCode: 4 },
  not_found: { status: 404, title: 'Not found', exitCode: 3 },
  method_not_allowed: { status: 405, title: 'Method not allowed', exitCode: 2 },
  conflict: { status: 409, title: 'The object is not in a state for this', exitCode: 1 },
  gone: { status: 410, title: 'No longer kept', exitCode: 3 },
  limit_exceeded: { status: 429, title: 'A limit is reached', exitCode: 5 },
  timeout: { status: 408, title: 'The request took too long to arrive', exitCode: 5 },
  too_large: { status: 413, title: 'The request is too large', exitCode: 2 },
  uri_too_long: { status: 414, title: 'The address is too long', exitCode: 2 },
  unsupported_media_type: { status: 415, title: 'Unsupported media type', exitCode: 2 },
  headers_too_large: { status: 431, title: 'The headers are too large', exitCode: 2 },
  unavailable: { status: 503, title: 'Not available at the moment', exitCode: 5 },
  internal: { status: 500, title: 'Internal error', exitCode: 1 },
} as const

/** A code of the closed list. */
export type ErrorCode = keyof typeof ERROR_CODES

/** One fault of a request: `path` is dotted (`spec.resources.memory`), `message` says what to do. */
export interface Issue {
  path: string
  message: string
}

// What is answered says back what was asked: a small request must not make a large answer.
const MAX_ISSUES = 50
const MAX_PATH = 300
const MAX_MESSAGE = 2000

function shortened(text: string, length: number): string {
  return text.length <= length ? text : `${text.slice(0, length).toWellFormed()}…`
}

/** An error that may be shown to the user: its message holds no secret and says what to do next. */
export class RGridError extends Error {
  readonly code: ErrorCode
  readonly issues: readonly Issue[]
  /** After how many seconds it may be tried again. */
  readonly retryAfterSeconds: number | undefined

  constructor(code: ErrorCode, message: string, options: { issues?: readonly Issue[]; cause?: unknown; retryAfterSeconds?: number } = {}) {
    super(shortened(message, MAX_MESSAGE), options.cause === undefined ? undefined : { cause: options.cause })
    this.name = 'RGridError'
    this.code = code
    this.issues = (options.issues ?? [])
      .slice(0, MAX_ISSUES)
      .map(({ path, message: what }) => ({ path: shortened(path, MAX_PATH), message: shortened(what, MAX_MESSAGE) }))
    this.retryAfterSeconds = options.retryAfterSeconds
  }
}

/** A validation error that names each faulty field. */
export function validationError(issues: readonly Issue[]): RGridError {
  const first = issues[0]
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : ''
  return new RGridError('validation', first ? `${first.path}: ${first.message}${more}` : 'The request is not valid', {
    issues,
  })
}

/** What a caught value says, for logs: the message of an Error, or the value as text. */
export function errorText(caught: unknown): string {
  return caught instanceof Error ? caught.message : String(caught)
}
