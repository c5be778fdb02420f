/** Where in a trace something belongs (W3C Trace Context, https://www.w3.org/TR/trace-context/): both as the headers of that name. */
export interface TraceContext {
  traceparent: string
  tracestate: string | null
}

/** Version 00 whole; of a later version its beginning, as the standard says. */
const TRACEPARENT = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/
const KEY = '(?:[a-z][a-z0-9_\\-*/]{0,255}|[a-z0-9][a-z0-9_\\-*/]{0,240}@[a-z][a-z0-9_\\-*/]{0,13})'
const MEMBER = new RegExp(`^${KEY}=[\\x20-\\x2b\\x2d-\\x3c\\x3e-\\x7e]{0,255}[\\x21-\\x2b\\x2d-\\x3c\\x3e-\\x7e]$`)
/** So much of a tracestate is handed on at least, and here at most. */
const MAX_TRACESTATE = 512
const MAX_MEMBERS = 32

/**
 * Reads the headers of a stranger. Undefined when `traceparent` is not one: then `tracestate` means nothing. A `tracestate`
 * that is none is left out, of one that is too long the members at its end, which are the oldest.
 */
export function readTraceContext(traceparent: unknown, tracestate: unknown): TraceContext | undefined {
  const match = typeof traceparent === 'string' && traceparent.length <= 512 ? TRACEPARENT.exec(traceparent.trim()) : null
  if (!match) return undefined
  const [, version, traceId, spanId, flags, rest] = match as unknown as [string, string, string, string, string, string | undefined]
  if (version === 'ff' || (version === '00' && rest !== undefined) || /^0+$/.test(traceId) || /^0+$/.test(spanId)) return undefined
  return { traceparent: `00-${traceId}-${spanId}-${flags}`, tracestate: readTracestate(tracestate) }
}

function readTracestate(value: unknown): string | null {
  const text = Array.isArray(value) ? value.join(',') : value
  if (typeof text !== 'string' || text.length > 8192) return null
  const members = text.split(',').flatMap((part) => part.replace(/^[ \t]+|[ \t]+$/g, '') || [])
  const keys = new Set(members.map((member) => member.split('=')[0]))
  if (members.length > MAX_MEMBERS || keys.size < members.length || !members.every((member) => MEMBER.test(member))) return null
  while (members.join(',').length > MAX_TRACESTATE) members.pop()
  return members.length === 0 ? null : members.join(',')
}

/** As it is stored with a job: `traceparent`, and behind a space `tracestate`. */
export function formatTraceContext({ traceparent, tracestate }: TraceContext): string {
  return tracestate === null ? traceparent : `${traceparent} ${tracestate}`
}

/** Reads what `formatTraceContext` wrote. */
export function parseTraceContext(stored: string | null): TraceContext | undefined {
  if (stored === null) return undefined
  const at = stored.indexOf(' ')
  return at === -1 ? readTraceContext(stored, undefined) : readTraceContext(stored.slice(0, at), stored.slice(at + 1))
}

/** The id of the trace, for logs. */
export function traceIdOf(context: TraceContext | undefined): string | undefined {
  return context?.traceparent.slice(3, 35)
}
