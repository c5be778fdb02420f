import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { errorText } from '#core/errors.ts'
import { CloudError, type CloudErrorKind } from './cloud.ts'

/** The body of an answer that is an error (https://docs.hetzner.cloud/reference/cloud#description/errors). */
const ErrorBody = Type.Object({
  error: Type.Object({
    code: Type.String(),
    message: Type.String(),
    details: Type.Optional(
      Type.Union([
        Type.Null(),
        Type.Object({
          fields: Type.Optional(Type.Array(Type.Object({ name: Type.String() }))),
          limits: Type.Optional(Type.Array(Type.Object({ name: Type.String() }))),
        }),
      ]),
    ),
  }),
})
type ErrorBody = Static<typeof ErrorBody>

/** What is to be done about each code, when it says for certain that nothing was done. */
const KINDS: Readonly<Record<string, CloudErrorKind>> = {
  resource_unavailable: 'no_capacity',
  placement_error: 'no_capacity',
  invalid_server_type: 'no_capacity',
  resource_limit_exceeded: 'limit',
  // The network or its subnet is full: no other cell of it has room either.
  no_subnet_available: 'limit',
  rate_limit_exceeded: 'rate_limited',
  uniqueness_error: 'exists',
  locked: 'busy',
  conflict: 'busy',
  maintenance: 'away',
  unavailable: 'away',
  json_error: 'refused',
  invalid_input: 'refused',
  unauthorized: 'refused',
  token_readonly: 'refused',
  forbidden: 'refused',
  not_found: 'refused',
  method_not_allowed: 'refused',
  deprecated_api_endpoint: 'refused',
  unsupported_error: 'refused',
  protected: 'refused',
  resource_locked: 'refused',
  must_be_unassigned: 'busy',
}

/**
 * An order that is invalid for its cell may be right for another one. Hetzner says so in words as well as in fields: "unsupported
 * location for server type" also when an account may not have a type that is listed as available there.
 */
const CELL_FIELDS = new Set(['server_type', 'location'])
const CELL_WORDS = /\bserver type\b|\blocation\b/i

/** The error that an answer of Hetzner is. `changes`: whether the call could have changed something. */
export function answerError(status: number, body: unknown, changes: boolean, retryAtMs: number | null): CloudError {
  const known = Value.Check(ErrorBody, body) ? body.error : undefined
  const code = known?.code ?? `http_${status}`
  return new CloudError(kindOf(status, known, changes), code, messageOf(status, known), { retryAtMs: retryAtMs ?? undefined })
}

/** The error of an action that failed after its order was taken. */
export function actionError(code: string, message: string): CloudError {
  return new CloudError(KINDS[code] ?? 'away', code, plain(message))
}

function kindOf(status: number, error: ErrorBody['error'] | undefined, changes: boolean): CloudErrorKind {
  if (error?.code === 'invalid_input' && isAboutCell(error)) return 'no_capacity'
  const kind = error ? KINDS[error.code] : undefined
  if (kind) return kind
  if (status === 429) return 'rate_limited'
  // What broke in the middle may have been done: server_error, service_error, bad_gateway, timeout, and what has no code.
  if (status >= 500 || error?.code === 'service_error') return changes ? 'unknown_outcome' : 'away'
  return 'refused'
}

function isAboutCell({ message, details }: ErrorBody['error']): boolean {
  return details?.fields?.length ? details.fields.every(({ name }) => CELL_FIELDS.has(name)) : CELL_WORDS.test(message)
}

function messageOf(status: number, error: ErrorBody['error'] | undefined): string {
  if (!error) return `Hetzner answered ${status}`
  const limits = error.details?.limits?.map(({ name }) => name).join(', ')
  const words = error.message === error.code ? '' : `: ${plain(error.message)}`
  return `Hetzner says ${plain(error.code)}${words}${limits ? ` (${plain(limits)})` : ''}`
}

/** A provider's words as Postgres can hold them and a line of a log can show them. */
function plain(words: string): string {
  return words
    .slice(0, 500)
    .toWellFormed()
    .replaceAll(/\p{Cc}/gu, ' ')
}

/** Nothing was sent when a connection failed with one of these. */
const NOT_SENT = new Set(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT'])

/** The error of a call that had no answer. */
export function silenceError(caught: unknown, changes: boolean): CloudError {
  const code = causeCode(caught)
  const sent = code === undefined || !NOT_SENT.has(code)
  const why = code ?? errorText(caught)
  return new CloudError(changes && sent ? 'unknown_outcome' : 'away', 'no_answer', `Hetzner did not answer: ${why}`, { cause: caught })
}

function causeCode(caught: unknown): string | undefined {
  const cause = caught instanceof Error ? (caught.cause ?? caught) : undefined
  if (cause instanceof AggregateError) return causeCode(cause.errors[0])
  return cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : undefined
}
