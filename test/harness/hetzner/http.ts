import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import { Refusal } from './answer.ts'
import type { Fault, Faults } from './faults.ts'
import type { Page } from './page.ts'
import type { Rate } from './rate.ts'
import type { Reply, Route } from './routes.ts'

/** A call that came, for tests that count. */
export interface SeenCall {
  method: string
  route: string
  path: string
  atMs: number
}

/** What the listener stands on. */
export interface HttpDeps {
  token: string
  routes: readonly Route[]
  faults: Faults
  rate: Rate
  calls: SeenCall[]
  now(): number
  wait(ms: number): Promise<void>
  /** Brings the project up to date. */
  settle(): void
}

const BASE = '/v1'
const MAX_BODY_BYTES = 1_000_000

/** Answers as Hetzner's API does under `/v1`. */
export function makeListener(deps: HttpDeps): RequestListener {
  const compiled = deps.routes.map((route) => ({ ...route, fits: new RegExp(`^${route.path.replaceAll(/:\w+/g, '([^/]+)')}$`) }))

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const text = await readText(request)
    deps.settle()
    const url = new URL(request.url ?? '/', 'http://stand-in')
    const method = request.method ?? 'GET'
    const path = url.pathname.startsWith(`${BASE}/`) ? url.pathname.slice(BASE.length) : ''
    const found = compiled.filter(({ fits }) => fits.test(path))
    const route = found.find((one) => one.method === method)
    deps.calls.push({ method, route: route?.path ?? path, path, atMs: deps.now() })
    let fault: Fault | undefined
    let reply: Reply
    let rewrite: Fault['rewrite']
    try {
      if (!deps.rate.take()) throw new Refusal('rate_limit_exceeded', 'limit of 3600 requests per hour reached')
      if (request.headers.authorization !== `Bearer ${deps.token}`) throw new Refusal('unauthorized', 'unable to authenticate')
      if (found.length === 0) throw new Refusal('not_found', 'route not found')
      if (!route) throw new Refusal('method_not_allowed', 'the request method is not allowed')
      const body = parseBody(method, text)
      fault = deps.faults.take({ method, route: route.path, body })
      rewrite = fault?.rewrite
      if (fault?.latencyMs !== undefined) await deps.wait(fault.latencyMs)
      if (fault?.drop === 'before') return void request.socket.destroy()
      if (fault?.hang && !fault.commit) return
      const fails = fault?.error !== undefined || fault?.status !== undefined
      reply = fails && !fault?.commit ? { status: 500 } : route.answer({ params: route.fits.exec(path)?.slice(1) ?? [], query: url.searchParams, body, fault })
      if (fault?.drop === 'after') return void request.socket.destroy()
      if (fault?.hang) return
      if (fault?.error) throw new Refusal(fault.error.code, fault.error.message ?? fault.error.code, fault.error.details)
      if (fault?.status !== undefined) return void response.writeHead(fault.status, deps.rate.headers()).end('upstream')
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      reply = { status: error.status, body: error.body }
    }
    send(response, url, reply, deps.rate.headers(), rewrite)
  }

  return (request, response) => {
    handle(request, response).catch((error: unknown) => {
      process.stderr.write(`the stand-in is at fault: ${error instanceof Error ? error.stack : error}\n`)
      request.socket.destroy()
    })
  }
}

function send(response: ServerResponse, url: URL, { status, body, page }: Reply, headers: Record<string, string>, rewrite?: Fault['rewrite']): void {
  if (body === undefined) return void response.writeHead(status, headers).end()
  const full = page ? { ...body, meta: { pagination: page } } : body
  const said = rewrite ? rewrite({ ...full }) : full
  response.writeHead(status, { ...headers, ...(page ? { Link: linkOf(url, page) } : {}), 'content-type': 'application/json' }).end(JSON.stringify(said))
}

function linkOf(url: URL, page: Page): string {
  const links: string[] = []
  for (const [rel, number] of [
    ['prev', page.previous_page],
    ['next', page.next_page],
    ['last', page.last_page],
  ] as const) {
    if (number === null) continue
    const target = new URL(url)
    target.searchParams.set('page', String(number))
    links.push(`<${target}>; rel="${rel}"`)
  }
  return links.join(', ')
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of request) {
    chunks.push(chunk as Buffer)
    bytes += (chunk as Buffer).length
    if (bytes > MAX_BODY_BYTES) throw new Error('a body is too long')
  }
  return Buffer.concat(chunks).toString('utf8')
}

function parseBody(method: string, text: string): unknown {
  if (method === 'GET' || method === 'DELETE') return undefined
  try {
    return text === '' ? {} : JSON.parse(text)
  } catch {
    throw new Refusal('json_error', 'Invalid JSON input in your request')
  }
}
