import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import http, { type IncomingMessage, type RequestListener, type ServerResponse } from 'node:http'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Webhook } from 'svix'
import { withDeadline } from '#core/service/time.ts'

/** A webhook that came, and fitted its signature. */
export interface Received {
  path: string
  id: string
  type: string
  // biome-ignore lint/suspicious/noExplicitAny: a test looks into whatever was sent
  data: any
  timestamp: string
  headers: http.IncomingHttpHeaders
}

/** How a receiver answers; `nth` counts the requests of its path from 1. The body was read. */
export type Behaviour = (response: ServerResponse, nth: number, request: IncomingMessage) => void

/** A receiver of webhooks that believes nothing: what is not signed as it should be is a fault. */
export interface Receiver {
  port: number
  url(path: string): string
  /** Those of a path from now on are verified with these secrets, one after the other: each must fit. */
  expect(path: string, secrets: readonly string[], behaviour?: Behaviour): void
  received: Received[]
  /** Of one path, in the order in which they came. */
  at(path: string): Received[]
  /** What did not verify, or came where nothing was expected. */
  faults: string[]
  /** Waits until it is so; looks at each request. */
  until(fits: () => boolean): Promise<void>
  stop(): Promise<void>
}

/** Starts one on loopback; with a certificate when it is to speak TLS. */
export async function startReceiver(tls?: { key: string; cert: string }): Promise<Receiver> {
  const expected = new Map<string, { secrets: readonly string[]; behaviour: Behaviour; count: number }>()
  const received: Received[] = []
  const faults: string[] = []
  const waiting = new Set<() => void>()

  const listener: RequestListener = async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const path = request.url ?? ''
    const place = expected.get(path)
    if (!place || request.method !== 'POST') {
      faults.push(`${request.method} ${path} was not expected`)
      response.writeHead(404).end()
    } else {
      take(path, Buffer.concat(chunks).toString('utf8'), request, place.secrets)
      place.count++
      place.behaviour(response, place.count, request)
    }
    for (const look of waiting) look()
  }

  function take(path: string, body: string, request: IncomingMessage, secrets: readonly string[]): void {
    for (const secret of secrets) {
      try {
        new Webhook(secret).verify(body, request.headers as Record<string, string>)
      } catch (error) {
        faults.push(`${path}: ${error}`)
      }
    }
    const { type, data, timestamp, ...rest } = JSON.parse(body) as Received
    if (Object.keys(rest).length > 0) faults.push(`${path}: has ${Object.keys(rest)}`)
    received.push({ path, id: String(request.headers['webhook-id']), type, data, timestamp, headers: request.headers })
  }

  const server = tls ? https.createServer(tls, listener) : http.createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: (path) => `${tls ? 'https' : 'http'}://127.0.0.1:${port}${path}`,
    expect: (path, secrets, behaviour = (response) => response.writeHead(204).end()) => void expected.set(path, { secrets, behaviour, count: 0 }),
    received,
    at: (path) => received.filter((one) => one.path === path),
    faults,
    async until(fits) {
      const { promise, resolve } = Promise.withResolvers<void>()
      const look = () => fits() && resolve()
      waiting.add(look)
      look()
      await withDeadline('the receiver', 60_000, () => promise).finally(() => waiting.delete(look))
    },
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

/** A certificate that nobody signed but itself, for 127.0.0.1. */
export function selfSigned(): { key: string; cert: string } {
  const dir = mkdtempSync(join(tmpdir(), 'rgrid-cert-'))
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')]
  const subject = ['-subj', '/CN=receiver', '-addext', 'subjectAltName=IP:127.0.0.1']
  execFileSync(
    'openssl',
    ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1', '-keyout', key, '-out', cert, ...subject],
    {
      stdio: 'ignore',
    },
  )
  const pair = { key: readFileSync(key, 'utf8'), cert: readFileSync(cert, 'utf8') }
  rmSync(dir, { recursive: true })
  return pair
}
