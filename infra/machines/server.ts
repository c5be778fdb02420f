import { chmodSync, chownSync, rmSync } from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import { Value } from '@sinclair/typebox/value'
import { type MachineHost, OrderError } from './host.ts'
import { MachineOrder } from './order.ts'

const MAX_BODY_BYTES = 128 * 1024
const STATUS = { exists: 409, limit: 422, invalid: 400 } as const

/** What is answered to a request. */
interface Answer {
  status: number
  body?: unknown
}

/**
 * Serves a host on a Unix socket: `GET /servers`, `POST /servers`, `DELETE /servers/<id>`. Who may open the socket may order
 * machines and nothing else, so that the scheduler needs no right over the engine.
 */
export function serveHost(host: MachineHost, say: (text: string) => void): Server {
  return createServer((request, response) => {
    answer(host, request, say)
      .catch((error: unknown): Answer => {
        if (error instanceof OrderError) return { status: STATUS[error.code], body: { code: error.code, message: error.message } }
        say(`${request.method} ${request.url} failed: ${error instanceof Error ? error.message : String(error)}`)
        return { status: 500, body: { code: 'internal', message: 'see the log of the machine host' } }
      })
      .then(({ status, body }) => {
        response.writeHead(status, { 'content-type': 'application/json' })
        response.end(body === undefined ? undefined : JSON.stringify(body))
      })
  })
}

/** Listens at a path; only root and the given user may connect. */
export async function listenAt(server: Server, path: string, uid: number): Promise<void> {
  rmSync(path, { force: true })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve))
  chmodSync(path, 0o600)
  if (uid !== 0) chownSync(path, uid, uid)
}

async function answer(host: MachineHost, request: IncomingMessage, say: (text: string) => void): Promise<Answer> {
  const [, collection, id, ...rest] = (request.url ?? '').split('/')
  if (collection !== 'servers' || rest.length > 0) return { status: 404 }
  if (request.method === 'GET' && id === undefined) return { status: 200, body: { servers: host.list() } }
  if (request.method === 'POST' && id === undefined) return { status: 201, body: host.create(await readOrder(request)) }
  if (request.method === 'DELETE' && id) {
    // Answered when it is begun: it is gone when the list lacks it.
    host.remove(id).catch((error: unknown) => say(`machine ${id} could not be taken away: ${error instanceof Error ? error.message : String(error)}`))
    return { status: 202 }
  }
  return { status: 405 }
}

async function readOrder(request: IncomingMessage): Promise<MachineOrder> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk
    if (text.length > MAX_BODY_BYTES) throw new OrderError('invalid', 'the order is too long')
  }
  let order: unknown
  try {
    order = JSON.parse(text)
  } catch {
    throw new OrderError('invalid', 'the order is no JSON')
  }
  if (Value.Check(MachineOrder, order)) return order
  const fault = Value.Errors(MachineOrder, order).First()
  throw new OrderError('invalid', `${fault?.path.slice(1) || 'the order'}: ${fault?.message ?? 'is not usable'}`)
}
