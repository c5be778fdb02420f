import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { monotonicMs, withDeadline } from '#core/service/time.ts'

/** Asks an issuer for a JSON document. Rejects when it does not come, whole, in time and with status 200. */
export type AskIssuer = (url: string) => Promise<unknown>

/** No key set and no discovery document is near this size. */
const MAX_BYTES = 512 * 1024

/** What an issuer is asked with. */
export interface AskOptions {
  fetch: typeof fetch
  log: Log
  timeoutMs: number
  /** An address is asked once in this time at most, whatever it answers: requests of strangers must not become requests to the issuer. */
  pauseMs: number
  /** Ends what is under way. */
  signal: AbortSignal
}

/** See AskIssuer. Redirects are not followed: they could lead to where only the gateway can go. */
export function createAskIssuer(options: AskOptions): AskIssuer {
  const askedAtMs = new Map<string, number>()
  return async (url) => {
    const last = askedAtMs.get(url)
    if (last !== undefined && monotonicMs() - last < options.pauseMs) throw new Error('the issuer was asked a moment ago')
    askedAtMs.set(url, monotonicMs())
    try {
      return await withDeadline('the issuer', options.timeoutMs, (signal) => readJson(options.fetch, url, signal), options.signal)
    } catch (error) {
      options.log.warn({ issuerHost: new URL(url).host, error: causeText(error) }, 'an issuer of tokens does not answer as it should')
      throw error
    }
  }
}

async function readJson(fetchFrom: typeof fetch, url: string, signal: AbortSignal): Promise<unknown> {
  const response = await fetchFrom(url, { redirect: 'manual', signal, headers: { accept: 'application/json' } })
  const body = response.body
  if (response.status !== 200 || body === null) {
    await body?.cancel()
    throw new Error(`status ${response.status}`)
  }
  const chunks: Uint8Array[] = []
  let bytes = 0
  // Leaving the loop cancels what is still to come.
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > MAX_BYTES) throw new Error(`more than ${MAX_BYTES} bytes`)
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    // What V8 says quotes the text, which is a stranger's.
    throw new Error('no JSON')
  }
}

function causeText(error: unknown): string {
  return error instanceof Error && error.cause instanceof Error ? `${error.message}: ${error.cause.message}` : errorText(error)
}
