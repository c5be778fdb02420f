import type { Problem } from '#core/api.ts'
import { ERROR_CODES, type ErrorCode, RGridError } from '#core/errors.ts'
import { sleep } from '#core/service/time.ts'
import type { Profile } from './profile.ts'

const DEADLINE_MS = 60_000
const TRIES = 5

/** The REST API with a key. Errors are RGridErrors with the gateway's own words. */
export interface Client {
  get<T>(path: string): Promise<T>
  post<T>(path: string, body?: unknown): Promise<T>
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

  async function request(method: string, path: string, init: RequestInit = {}): Promise<Response> {
    const headers = { authorization: `Bearer ${profile.apiKey}`, ...(init.headers as Record<string, string>) }
    let response: Response
    try {
      response = await fetch(`${profile.apiUrl}${path}`, { method, redirect: 'manual', ...init, headers })
    } catch (error) {
      init.signal?.throwIfAborted()
      throw new RGridError('unavailable', `${profile.apiUrl} (from ${profile.source}) does not answer; is it running?`, { cause: error })
    }
    if (response.status >= 400) throw await toError(response)
    return response
  }

  async function reading(path: string): Promise<Response> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await request('GET', path, { signal: AbortSignal.timeout(DEADLINE_MS) })
      } catch (error) {
        if (!(error instanceof RGridError) || error.code !== 'unavailable' || attempt === TRIES) throw error
        await sleep(200 * 2 ** attempt)
      }
    }
  }

  const client: Client = {
    get: async <T>(path: string) => (await (await reading(path)).json()) as T,
    async post<T>(path: string, body?: unknown) {
      const init = body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
      return (await (await request('POST', path, { ...init, signal: AbortSignal.timeout(DEADLINE_MS) })).json()) as T
    },
    stream: (path, headers, signal) => request('GET', path, { headers, signal }),
    async location(path) {
      const location = (await reading(path)).headers.get('location')
      if (location === null) throw new RGridError('internal', `${path} did not lead anywhere`)
      return location
    },
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

async function toError(response: Response): Promise<RGridError> {
  const problem = (await response.json().catch(() => undefined)) as Partial<Problem> | undefined
  const code = (problem?.code ?? '') in ERROR_CODES ? (problem?.code as ErrorCode) : response.status >= 500 ? 'unavailable' : 'internal'
  return new RGridError(code, problem?.detail ?? `the gateway answered ${response.status}`, { issues: problem?.errors ?? [] })
}
