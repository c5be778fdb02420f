import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { RGridError, validationError } from '#core/errors.ts'
import { answerContext, beginRequest, endRequest, type RequestName } from '#store/idempotency.ts'
import type { Tx } from '#store/pool.ts'
import { callerOf, dbOf, projectOf } from './access/authorise.ts'
import type { GatewayDeps } from './deps.ts'

/** What is answered to a request that made something. */
export interface Made<T> {
  body: T
  /** The address of what was made. */
  location?: string
  /** By default 201. */
  status?: number
}

/** An answer, and whether it is one that was given before. */
export type Answer<T> = Required<Pick<Made<T>, 'body' | 'status'>> & { location: string | undefined; replayed: boolean }

/** Visible ASCII: it is compared byte by byte, and stands in logs of clients. */
const KEY = /^[\x21-\x7e]{1,255}$/

/**
 * Does what a POST asks, in one transaction, and answers it. With an `Idempotency-Key`
 * (draft-ietf-httpapi-idempotency-key-header-07) the same request again, within 24 hours, gets the same answer and does
 * nothing: also when both come at once, and when the first answer was lost after the commit. The same key with another
 * request is refused. What failed may be tried again with its key. `content` stands for the body where that is not in memory.
 */
export async function once<T>(
  deps: Pick<GatewayDeps, 'sealer'>,
  request: FastifyRequest,
  work: (tx: Tx) => Promise<Made<T>>,
  content?: string,
): Promise<Answer<T>> {
  const name = nameOf(request, content)
  return dbOf(request).transaction(async (tx) => {
    if (!name) return { location: undefined, status: 201, replayed: false, ...(await work(tx)) }
    const context = answerContext(name)
    const known = await beginRequest(tx, name)
    if (known.state === 'other') throw validationError([{ path: 'Idempotency-Key', message: 'was used for another request; a new request needs a new key' }])
    if (known.state === 'done') return { ...(JSON.parse(deps.sealer.open(known.answer, context)) as Answer<T>), replayed: true }
    const answer = { location: undefined, status: 201, replayed: false, ...(await work(tx)) }
    await endRequest(tx, name, answer.status, deps.sealer.seal(JSON.stringify(answer), context))
    return answer
  })
}

/** Sends such an answer. */
export function sendAnswer<T>(reply: FastifyReply, { status, location, replayed, body }: Answer<T>): FastifyReply {
  if (location !== undefined) reply.header('location', location)
  if (replayed) reply.header('idempotency-replayed', 'true')
  return reply.code(status).send(body)
}

function nameOf(request: FastifyRequest, content: string | undefined): RequestName | undefined {
  const key = request.headers['idempotency-key']
  if (key === undefined) return undefined
  // A structured header would be in quotes: both forms are the same key.
  const plain = typeof key === 'string' ? key.replace(/^"(.*)"$/, '$1') : ''
  if (!KEY.test(plain)) throw new RGridError('bad_request', 'Idempotency-Key: must be 1 to 255 visible ASCII characters, such as a UUID')
  // Of who asks, too: an answer may hold a key, which is for nobody else who hears of the name of the request.
  const asked = createHash('sha256').update(`${callerOf(request).id} ${request.method} ${request.url}\n${content ?? JSON.stringify(request.body ?? null)}`)
  return { accountId: callerOf(request).accountId, scope: projectOf(request)?.id ?? 'account', key: plain, hash: asked.digest() }
}
