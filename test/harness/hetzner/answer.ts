import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'

/** The status of each error code (https://docs.hetzner.cloud/reference/cloud#description/errors). */
export const STATUS_OF = {
  json_error: 400,
  unauthorized: 401,
  token_readonly: 401,
  forbidden: 403,
  maintenance: 403,
  resource_limit_exceeded: 403,
  not_found: 404,
  method_not_allowed: 405,
  uniqueness_error: 409,
  conflict: 409,
  deprecated_api_endpoint: 410,
  resource_unavailable: 412,
  invalid_input: 422,
  service_error: 422,
  unsupported_error: 422,
  placement_error: 422,
  invalid_server_type: 422,
  no_subnet_available: 422,
  must_be_unassigned: 422,
  locked: 423,
  protected: 423,
  rate_limit_exceeded: 429,
  server_error: 500,
  bad_gateway: 502,
  unavailable: 503,
  timeout: 504,
} as const
/** See STATUS_OF. */
export type ErrorCode = keyof typeof STATUS_OF

/** An answer that is an error, with the body that Hetzner gives it. */
export class Refusal extends Error {
  readonly status: number
  readonly body: { error: { code: string; message: string; details: unknown } }

  constructor(code: ErrorCode, message: string, details: unknown = null) {
    super(message)
    this.status = STATUS_OF[code]
    this.body = { error: { code, message, details } }
  }
}

/** The refusal of a field that is not as it must be. */
export function invalidField(name: string, message: string): Refusal {
  return new Refusal('invalid_input', `invalid input in field '${name}': ${message}`, { fields: [{ name, messages: [message] }] })
}

/** An id, or a name that may be one. */
export const IdOrName = Type.Union([Type.Integer({ minimum: 1 }), Type.String({ minLength: 1 })])
/** Labels, whose keys and values are looked at afterwards. */
export const LabelMap = Type.Record(Type.String(), Type.String())

/** The body, when it is of that form and has nothing else in it; or the refusal of its first wrong field. */
export function checkBody<T extends TSchema>(schema: T, body: unknown): Static<T> {
  if (Value.Check(schema, body)) return body
  const fault = Value.Errors(schema, body).First()
  const name = fault?.path.slice(1).replaceAll('/', '.') || 'body'
  throw invalidField(name, fault?.message ?? 'invalid')
}

const HOST_LABEL = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/i

/** A server's name is a host name (RFC 1123). */
export function checkHostname(name: string): void {
  if (name.length > 253 || !name.split('.').every((label) => HOST_LABEL.test(label))) throw invalidField('name', 'must be a valid hostname as per RFC 1123')
}

/** A moment as Hetzner writes it. */
export function isoTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, '+00:00')
}
