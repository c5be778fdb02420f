import { randomUUID } from 'node:crypto'
import { RGridError } from '#core/errors.ts'
import { sleep } from '#core/service/time.ts'
import { inDocument, LINES, toBody } from './batch-lines.ts'
import { awayError, neverSent, toError } from './client-errors.ts'
import type { Profile } from './profile.ts'
import { type AnswerOf, addressOf, type ItemOf, type ListName, type RequestOf, ROUTES, type Route, type RouteName } from './routes.ts'

const DEADLINE_MS = 60_000
/** A batch of 100,000 jobs is stored in one request. */
const SUBMIT_DEADLINE_MS = 300_000
const TRIES = 5
/** Somebody waits: what is asked to wait for longer is told so instead. */
const MAX_WAIT_MS = 10_000

/** The REST API with a key. Errors are RGridErrors with the gateway's own words. */
export interface Client {
  /**
   * Makes a call; `client.call('GET /v1/jobs/:id', { params: { id } })`. It is tried again when the gateway is away or busy, if
   * that does no harm: what makes something carries an Idempotency-Key, the same one each time.
   */
  call<R extends RouteName>(route: R, ...request: RequestOf<R>): Promise<AnswerOf<R>>
  /** Makes a call a single time, for who asks again anyway; rejects with the signal's reason when it is aborted. */
  once<R extends RouteName>(signal: AbortSignal, route: R, ...request: RequestOf<R>): Promise<AnswerOf<R>>
  /** All items of a list, read page by page as they are taken. */
  all<R extends ListName>(route: R, ...request: RequestOf<R>): AsyncGenerator<ItemOf<R>>
  /** A response whose body is read by the caller. */
  stream(path: string, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Response>
  /** Where the bytes of an output can be fetched from. */
  location(artifactId: string): Promise<string>
  /** The slug of the project that the key is for. */
  project(): Promise<string>
}

/** What a call may be given, whichever it is. */
interface AnyRequest {
  params?: Readonly<Record<string, string>>
  query?: Readonly<Record<string, unknown>>
  body?: unknown
}

/** Speaks to the gateway of a profile. */
export function createClient(profile: Profile): Client {
  let slug: Promise<string> | undefined

  async function request(method: string, path: string, init: RequestInit): Promise<Response> {
    const account = profile.account === undefined ? {} : { 'x-rgrid-account': profile.account }
    const headers = { authorization: `Bearer ${profile.apiKey}`, ...account, ...(init.headers as Record<string, string>) }
    const response = await fetch(`${profile.apiUrl}${path}`, { method, redirect: 'manual', ...init, headers }).catch((error: unknown) => {
      throw awayError(error, profile)
    })
    if (response.status >= 400) throw await toError(response, profile)
    return response
  }

  async function readJson<T>(response: Response): Promise<T> {
    const text = await response.text().catch((error: unknown) => {
      throw awayError(error, profile)
    })
    try {
      return (text === '' ? null : JSON.parse(text)) as T
    } catch (error) {
      const message = `${profile.apiUrl} (from ${profile.source}) does not answer as RGrid does (status ${response.status}); is the address right?`
      throw new RGridError('bad_request', message, { cause: error })
    }
  }

  /** The call, to be made as often as it takes: it carries the same key each time. */
  function prepare<R extends RouteName>(name: R, ...[given]: RequestOf<R>): { harmless: boolean; send: (signal?: AbortSignal) => Promise<AnswerOf<R>> } {
    const route: Route = ROUTES[name]
    const { body, ...where } = (given ?? {}) as AnyRequest
    const { method, path } = addressOf(name, where)
    const sent = body === undefined ? undefined : toBody(body)
    const headers = {
      ...(sent ? { 'content-type': sent.type } : {}),
      ...(route.idempotent ? { 'idempotency-key': randomUUID() } : {}),
    }
    const init = { headers, ...(sent ? { body: sent.text } : {}) }
    const deadlineMs = route.idempotent ? SUBMIT_DEADLINE_MS : DEADLINE_MS
    return {
      harmless: method === 'GET' || route.repeatable === true || route.idempotent === true,
      async send(outer) {
        const deadline = AbortSignal.timeout(deadlineMs)
        const signal = outer ? AbortSignal.any([outer, deadline]) : deadline
        const answer = request(method, path, { ...init, signal }).catch((error: unknown) => {
          throw sent?.type === LINES && error instanceof RGridError ? inDocument(error) : error
        })
        return readJson(await answer)
      },
    }
  }

  async function call<R extends RouteName>(name: R, ...request: RequestOf<R>): Promise<AnswerOf<R>> {
    const { harmless, send } = prepare(name, ...request)
    return again(harmless, () => send())
  }

  const client: Client = {
    call,
    async once<R extends RouteName>(signal: AbortSignal, name: R, ...request: RequestOf<R>): Promise<AnswerOf<R>> {
      try {
        return await prepare(name, ...request).send(signal)
      } catch (error) {
        signal.throwIfAborted()
        throw error
      }
    },
    async *all<R extends ListName>(name: R, ...[given]: RequestOf<R>): AsyncGenerator<ItemOf<R>> {
      let cursor: string | null = null
      do {
        const { query: filters } = (given ?? {}) as AnyRequest
        const query: object = { ...filters, ...(cursor === null ? {} : { cursor }) }
        const page: { items: unknown[]; nextCursor?: string | null } = await call(name, ...([{ ...given, query }] as unknown as RequestOf<R>))
        yield* page.items as ItemOf<R>[]
        // A gateway of before there were pages answers the whole list, and says nothing of more.
        cursor = page.nextCursor ?? null
      } while (cursor !== null)
    },
    async stream(path, headers, signal) {
      try {
        return await request('GET', path, { headers, signal })
      } catch (error) {
        signal.throwIfAborted()
        throw error
      }
    },
    location: (artifactId) =>
      again(true, async () => {
        const path = `/v1/artifacts/${encodeURIComponent(artifactId)}/download`
        const response = await request('GET', path, { signal: AbortSignal.timeout(DEADLINE_MS) })
        await response.body?.cancel()
        const location = response.headers.get('location')
        if (location === null) throw new RGridError('internal', `${path} did not lead anywhere`)
        return location
      }),
    project() {
      slug ??= call('GET /v1/projects', { query: { limit: 1 } }).then(({ items: [first] }) => {
        if (!first) throw new RGridError('not_found', 'this key has no project')
        return first.slug
      })
      return slug
    },
  }
  return client
}

/** Does it again while it may help: when the other side is away or asks to wait a moment. What may do harm only when it was never sent. */
async function again<T>(harmless: boolean, work: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await work()
    } catch (error) {
      if (!(error instanceof RGridError) || attempt === TRIES) throw error
      const waitMs = error.retryAfterSeconds === undefined ? 100 * 2 ** attempt : error.retryAfterSeconds * 1000
      // A request that is over a limit was not done; one that was refused as too much may have been.
      const mayHelp =
        (error.code === 'unavailable' && (harmless || neverSent(error))) || (error.code === 'limit_exceeded' && error.retryAfterSeconds !== undefined)
      if (!mayHelp || waitMs > MAX_WAIT_MS) throw error
      await sleep(waitMs * (1 + Math.random() / 4))
    }
  }
}
