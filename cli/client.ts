import type { Problem } from '#core/api.ts'
import { ERROR_CODES, type ErrorCode, errorText, RGridError } from '#core/errors.ts'
import { sleep } from '#core/service/time.ts'
import type { Profile } from './profile.ts'

const DEADLINE_MS = 60_000
/** A batch of 100,000 jobs is stored in one request. */
const SUBMIT_DEADLINE_MS = 300_000
const TRIES = 5
/** Trouble that shows that no connection was made, so the request cannot have been done. */
const NEVER_SENT = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'UND_ERR_CONNECT_TIMEOUT']

/** The REST API with a key. Errors are RGridErrors with the gateway's own words. */
export interface Client {
  get<T>(path: string): Promise<T>
  /** `repeatable` says that doing it twice does no harm; then it is tried again as reading is. */
  post<T>(path: string, body?: unknown, options?: { repeatable?: boolean }): Promise<T>
  /** Changes an object; doing it twice does no harm, so it is tried again as reading is. */
  patch<T>(path: string, body: unknown): Promise<T>
  /** Makes an object what it is said to be; doing it twice does no harm either. */
  put<T>(path: string, body: unknown): Promise<T>
  delete(path: string): Promise<void>
  /** A response whose body is read by the caller. */
  stream(path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response>
  /** Where a redirect leads. */
  location(path: string): Promise<string>
  /** The slug of the project that the key is for. */
  project(): Promise<string>
}

/** Speaks to the gateway of a profile. Reading is tried again when the gateway is away for a moment. */
export function createClient(profile: Profile): Client {
  let slug: Promise<string> | undefined

  async function request(method: string, path: string, init: RequestInit): Promise<Response> {
    const headers = { authorization: `Bearer ${profile.apiKey}`, ...(init.headers as Record<string, string>) }
    const response = await fetch(`${profile.apiUrl}${path}`, { method, redirect: 'manual', ...init, headers }).catch((error: unknown) => {
      throw awayError(error)
    })
    if (response.status >= 400) throw await toError(response, profile)
    return response
  }

  function awayError(error: unknown): RGridError {
    const code = causeCode(error)
    const what = error instanceof Error && error.name === 'TimeoutError' ? 'did not answer in time' : 'does not answer'
    const hint = code === 'ECONNREFUSED' ? '; is it running?' : `: ${code ?? errorText(error instanceof Error && error.cause ? error.cause : error)}`
    return new RGridError('unavailable', `${profile.apiUrl} (from ${profile.source}) ${what}${hint}`, { cause: error })
  }

  async function again<T>(may: (error: RGridError) => boolean, work: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await work()
      } catch (error) {
        if (!(error instanceof RGridError) || error.code !== 'unavailable' || attempt === TRIES || !may(error)) throw error
        await sleep(100 * 2 ** attempt)
      }
    }
  }

  async function readJson<T>(response: Response): Promise<T> {
    const text = await response.text().catch((error: unknown) => {
      throw awayError(error)
    })
    try {
      return JSON.parse(text) as T
    } catch (error) {
      const message = `${profile.apiUrl} (from ${profile.source}) does not answer as RGrid does (status ${response.status}); is the address right?`
      throw new RGridError('bad_request', message, { cause: error })
    }
  }

  function change<T>(method: 'PATCH' | 'PUT', path: string, body: unknown): Promise<T> {
    const init = { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
    return again(
      () => true,
      async () => readJson<T>(await request(method, path, { ...init, signal: AbortSignal.timeout(DEADLINE_MS) })),
    )
  }

  const client: Client = {
    get: <T>(path: string) =>
      again(
        () => true,
        async () => readJson<T>(await request('GET', path, { signal: AbortSignal.timeout(DEADLINE_MS) })),
      ),
    post: <T>(path: string, body?: unknown, options: { repeatable?: boolean } = {}) => {
      const init = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
      const deadlineMs = options.repeatable ? DEADLINE_MS : SUBMIT_DEADLINE_MS
      return again(
        (error) => options.repeatable === true || NEVER_SENT.includes(causeCode(error.cause) ?? ''),
        async () => readJson<T>(await request('POST', path, { ...init, signal: AbortSignal.timeout(deadlineMs) })),
      )
    },
    patch: (path, body) => change('PATCH', path, body),
    put: (path, body) => change('PUT', path, body),
    async delete(path) {
      const response = await request('DELETE', path, { signal: AbortSignal.timeout(DEADLINE_MS) })
      await response.body?.cancel()
    },
    async stream(path, headers, signal) {
      try {
        return await request('GET', path, { headers, signal })
      } catch (error) {
        signal.throwIfAborted()
        throw error
      }
    },
    location: (path) =>
      again(
        () => true,
        async () => {
          const response = await request('GET', path, { signal: AbortSignal.timeout(DEADLINE_MS) })
          await response.body?.cancel()
          const location = response.headers.get('location')
          if (location === null) throw new RGridError('internal', `${path} did not lead anywhere`)
          return location
        },
      ),
    project() {
      slug ??= client.get<{ items: { slug: string }[] }>('/v1/projects').then(({ items }) => {
        if (!items[0]) throw new RGridError('not_found', 'this key has no project')
        return items[0].slug
      })
      return slug
    },
  }
  return client
}

function causeCode(error: unknown): string | undefined {
  const cause = error instanceof Error ? (error.cause as { code?: unknown } | undefined) : undefined
  return typeof cause?.code === 'string' ? cause.code : undefined
}

async function toError(response: Response, profile: Profile): Promise<RGridError> {
  const problem = (await response.json().catch(() => undefined)) as Partial<Problem> | undefined
  const code = (problem?.code ?? '') in ERROR_CODES ? (problem?.code as ErrorCode) : codeOf(response.status)
  const detail = problem?.detail ?? `${profile.apiUrl} answered ${response.status}`
  const hint = code === 'unauthenticated' ? ` (the key is from ${profile.source}; "rgrid init" keeps another)` : ''
  return new RGridError(code, `${detail}${hint}`, { issues: problem?.errors ?? [] })
}

/** What a status means when something between us and the gateway answered. */
function codeOf(status: number): ErrorCode {
  if (status >= 500 || status === 429) return 'unavailable'
  const entries = Object.entries(ERROR_CODES) as [ErrorCode, (typeof ERROR_CODES)[ErrorCode]][]
  return entries.find(([, entry]) => entry.status === status)?.[0] ?? 'bad_request'
}
