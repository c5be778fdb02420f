import type { Problem } from '#core/api.ts'
import { ERROR_CODES, type ErrorCode, errorText, RGridError } from '#core/errors.ts'
import type { Profile } from './profile.ts'

/** Trouble that shows that no connection was made, so the request cannot have been done. */
const NEVER_SENT = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']

/** The error for a gateway that does not answer. */
export function awayError(error: unknown, profile: Profile): RGridError {
  const code = causeCode(error)
  const what = error instanceof Error && error.name === 'TimeoutError' ? 'did not answer in time' : 'does not answer'
  const hint = code === 'ECONNREFUSED' ? '; is it running?' : `: ${code ?? errorText(error instanceof Error && error.cause ? error.cause : error)}`
  return new RGridError('unavailable', `${profile.apiUrl} (from ${profile.source}) ${what}${hint}`, { cause: error })
}

/** Whether such an error shows that the request never got there. */
export function neverSent(error: RGridError): boolean {
  return NEVER_SENT.includes(causeCode(error.cause) ?? '')
}

/** The error that an answer is. */
export async function toError(response: Response, profile: Profile): Promise<RGridError> {
  const problem = (await response.json().catch(() => undefined)) as Partial<Problem> | undefined
  const code = (problem?.code ?? '') in ERROR_CODES ? (problem?.code as ErrorCode) : codeOf(response.status)
  const detail = problem?.detail ?? `${profile.apiUrl} answered ${response.status}`
  const hint = code === 'unauthenticated' ? ` (the key is from ${profile.source}; "rgrid init" keeps another)` : ''
  const retryAfterSeconds = secondsOf(response.headers.get('retry-after'))
  return new RGridError(code, `${detail}${hint}`, { issues: problem?.errors ?? [], ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) })
}

/** Retry-After as seconds; as a date it is only said by what stands between us and the gateway. */
function secondsOf(header: string | null): number | undefined {
  return header !== null && /^\d{1,9}$/.test(header) ? Number(header) : undefined
}

function causeCode(error: unknown): string | undefined {
  const cause = error instanceof Error ? (error.cause as { code?: unknown } | undefined) : undefined
  return typeof cause?.code === 'string' ? cause.code : undefined
}

/** What a status means when something between us and the gateway answered. */
function codeOf(status: number): ErrorCode {
  if (status >= 500 || status === 429) return 'unavailable'
  const entries = Object.entries(ERROR_CODES) as [ErrorCode, (typeof ERROR_CODES)[ErrorCode]][]
  return entries.find(([, entry]) => entry.status === status)?.[0] ?? 'bad_request'
}
