import { createHash, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { after } from '#core/service/time.ts'
import { signInError } from './sign-in-error.ts'

/** Where the browser brings the code to (RFC 8252, 7.3). */
export interface Callback {
  redirectUri: string
  /** Rejects when the issuer says that it did not work. */
  code: Promise<string>
  close(): Promise<void>
}

type Answer = readonly [status: number, text: string]

/** How long the browser has to read the last page. */
const LEAVE_MS = 1000

const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'",
  'referrer-policy': 'no-referrer',
  connection: 'close',
}

/**
 * Listens on a free port of 127.0.0.1 until `close`. Any page in the browser can send requests here: only one that knows the
 * state counts, the first of them, and others change nothing. `issuer` must be the one that the answer names, if it names
 * one (RFC 9207).
 */
export async function openCallback(state: string, issuer: string): Promise<Callback> {
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  // Whoever opened it looks at the promise later, or never when it gives up before.
  promise.catch(() => undefined)
  let isOver = false

  function take(parameters: URLSearchParams): Answer {
    if (!isSame(parameters.get('state'), state)) return [400, 'This is not the sign-in that rgrid waits for.']
    if (isOver) return [410, 'This sign-in is over. Run rgrid init again for another.']
    const [code, error, from] = [parameters.get('code'), parameters.get('error'), parameters.get('iss')]
    if (from !== null && from !== issuer) return [400, 'This answer is of another issuer.']
    if (error === null && !code) return [400, 'This answer holds no code.']
    isOver = true
    if (error === null && code) {
      resolve(code)
      return [200, 'Back to the terminal: rgrid goes on there. You may close this window.']
    }
    reject(signInError(error ?? '', parameters.get('error_description')))
    return [200, 'The sign-in did not work. The terminal says more.']
  }

  function route(request: IncomingMessage): Answer {
    // A name of somebody's own that leads to 127.0.0.1 is not this server.
    if (request.headers.host !== `127.0.0.1:${port}`) return [400, 'This is not an address of rgrid.']
    const [path, query] = (request.url ?? '').split('?', 2)
    if (path !== '/callback') return [404, 'There is nothing here.']
    return request.method === 'GET' ? take(new URLSearchParams(query)) : [405, 'Only GET is possible here.']
  }

  const server = createServer((request, response) => {
    const [status, text] = route(request)
    response.writeHead(status, HEADERS).end(`<!doctype html><title>rgrid</title><p>${text}</p>`)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    redirectUri: `http://127.0.0.1:${port}/callback`,
    code: promise,
    async close() {
      if (!server.listening) return
      const closed = once(server, 'close')
      server.close()
      const cancel = after(LEAVE_MS, () => server.closeAllConnections())
      await closed.finally(cancel)
    },
  }
}

function isSame(given: string | null, expected: string): boolean {
  const hash = (text: string) => createHash('sha256').update(text).digest()
  return given !== null && timingSafeEqual(hash(given), hash(expected))
}
