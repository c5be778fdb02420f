import { readFileSync } from 'node:fs'
import http from 'node:http'
import https from 'node:https'
import { isIPv4, type LookupFunction } from 'node:net'
import { useAgent } from 'request-filtering-agent'
import { errorText } from '#core/errors.ts'
import { after, monotonicMs, nowMs, untilAborted } from '#core/service/time.ts'
import type { WebhookTargets } from '#core/webhook-targets.ts'
import type { Message } from './message.ts'
import type { Resolve } from './resolve.ts'
import { readRetryAfter } from './schedule.ts'
import { findTarget, RefusedTargetError, type Target } from './target.ts'

/** What came of sending a message: a status, or an error that says why there is none. */
export interface Answer {
  atMs: number
  durationMs: number
  status: number | null
  error: string | null
  /** The first 4 KiB, as text. */
  body: string | null
  retryAfterMs: number | null
  /** In a word, for counting. */
  outcome: 'taken' | 'answered' | 'refused' | 'timeout' | 'error'
}

/** Sends a message once. Rejects only when `signal` is aborted. */
export type Send = (message: Message, signal: AbortSignal) => Promise<Answer>

/** How messages are sent. */
export interface SenderOptions extends WebhookTargets {
  resolve: Resolve
  /** For name lookup, TCP and TLS together. */
  connectMs?: number
  wholeMs?: number
  /** Authorities to trust besides those of Node. */
  ca?: string
}

const CONNECT_MS = 5000
const WHOLE_MS = 15_000
/** The status decides; so long its body may take to be kept. */
const BODY_MS = 1000
const MAX_BODY_BYTES = 4096

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string }
const USER_AGENT = `RGrid/${version}`

class TimeoutError extends Error {}

/** Makes it. Every message has a connection of its own, that ends with it. */
export function createSender(options: SenderOptions): Send {
  const { connectMs = CONNECT_MS, wholeMs = WHOLE_MS } = options
  return async (message, signal) => {
    const atMs = nowMs()
    const startedMs = monotonicMs()
    const giveUp = new AbortController()
    const limit = AbortSignal.any([signal, giveUp.signal])
    const connected = after(connectMs, () => giveUp.abort(new TimeoutError(`no connection within ${connectMs / 1000} s (name lookup, TCP and TLS)`)))
    const ended = after(wholeMs, () => giveUp.abort(new TimeoutError(`no answer within ${wholeMs / 1000} s`)))
    const answer = (result: Pick<Answer, 'outcome' | 'error'> & Partial<Answer>): Answer => ({
      atMs,
      durationMs: monotonicMs() - startedMs,
      status: null,
      body: null,
      retryAfterMs: null,
      ...result,
    })
    try {
      const target = await untilAborted(findTarget(message.url, options, options.resolve), limit)
      const response = await post(target, message, options, limit, connected)
      const status = response.statusCode ?? 0
      const body = await readStart(response, limit)
      const taken = status >= 200 && status < 300
      const redirect = status >= 300 && status < 400 ? ', a redirect: these are not followed' : ''
      return answer({
        status,
        body,
        outcome: taken ? 'taken' : 'answered',
        error: taken ? null : `the receiver answered ${status}${redirect}`,
        retryAfterMs: readRetryAfter(response.headers['retry-after'], nowMs()),
      })
    } catch (caught) {
      signal.throwIfAborted()
      const error = giveUp.signal.aborted ? giveUp.signal.reason : caught
      const outcome = error instanceof TimeoutError ? 'timeout' : isRefused(error) ? 'refused' : 'error'
      return answer({ outcome, error: describe(error) })
    } finally {
      connected()
      ended()
    }
  }
}

async function post(target: Target, message: Message, options: SenderOptions, signal: AbortSignal, connected: () => void): Promise<http.IncomingMessage> {
  const secure = target.url.protocol === 'https:'
  // The agent looks at the very address that is connected to, a name's or one in the URL.
  const agent = useAgent(target.url.href, { allowIPAddressList: target.allowed })
  const lookup: LookupFunction = (_host, { all }, callback) => {
    const found = target.addresses.map((address) => ({ address, family: isIPv4(address) ? 4 : 6 }))
    if (all) callback(null, found)
    else callback(null, found[0]?.address ?? '', found[0]?.family)
  }
  const headers = { ...message.headers, 'content-length': Buffer.byteLength(message.body), 'user-agent': USER_AGENT }
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>()
  const ca = options.ca === undefined ? {} : { ca: options.ca }
  const request = (secure ? https : http).request(target.url, { method: 'POST', agent, lookup, headers, signal, ...ca } as https.RequestOptions, resolve)
  request.on('socket', (socket) => socket.once(secure ? 'secureConnect' : 'connect', connected))
  request.on('error', reject)
  request.on('close', () => reject(new Error('the receiver closed the connection without an answer')))
  request.end(message.body)
  return promise
}

/** The start of a body, as far as it comes soon; then the connection is cut, whatever else would come. */
async function readStart(response: http.IncomingMessage, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  const enough = new AbortController()
  const stop = after(BODY_MS, () => enough.abort())
  const over = () => enough.abort()
  signal.addEventListener('abort', over, { once: true })
  for (const event of ['end', 'error', 'close']) response.on(event, over)
  response.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes < MAX_BODY_BYTES) return
    response.pause()
    over()
  })
  if (!enough.signal.aborted) await new Promise((resolve) => enough.signal.addEventListener('abort', resolve, { once: true }))
  stop()
  signal.removeEventListener('abort', over)
  response.destroy()
  // Postgres holds no NUL in a text.
  return Buffer.concat(chunks).subarray(0, MAX_BODY_BYTES).toString('utf8').replaceAll('\0', '\uFFFD')
}

function isRefused(error: unknown): boolean {
  return error instanceof RefusedTargetError || (error instanceof Error && /^DNS lookup .* is not allowed/.test(error.message))
}

function describe(error: unknown): string {
  if (isRefused(error) && !(error instanceof RefusedTargetError))
    return 'the address leads to one that is private, loopback, link-local or otherwise not public'
  // A refused connection to a name with two addresses has no message of its own.
  const text = errorText(error) || String((error as { code?: unknown }).code ?? 'the connection failed')
  return text.replaceAll('\0', '').slice(0, 500)
}
