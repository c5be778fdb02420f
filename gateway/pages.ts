import { createHash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { validationError } from '#core/errors.ts'
import type { Page } from '#store/page.ts'
import { callerOf } from './access/authorise.ts'

interface Query {
  limit?: number
  cursor?: string
}
type Kind = { number: number; text: string }

/** The position that the cursor of a request stands for. Throws a validation error when it is none of ours, or of another list or other filters. */
export function positionOf<K extends keyof Kind>(request: FastifyRequest, kind: K): Kind[K] | undefined {
  const { cursor } = request.query as Query
  if (cursor === undefined) return undefined
  const [scope, position] = parse(cursor) ?? []
  if (!(kind === 'number' ? Number.isSafeInteger(position) : isText(position))) throw fault('take it from nextCursor of the page before, whole')
  if (scope !== scopeOf(request)) throw fault('is of another list, or of other filters; leave it out to begin anew')
  return position as Kind[K]
}

/** Sends a page; where there is more, with its cursor, and a link to the next page (RFC 8288). */
export function sendPage<T>(
  request: FastifyRequest,
  reply: FastifyReply,
  { items, next }: Page<T, string | number>,
): { items: T[]; nextCursor: string | null } {
  if (next === null) return { items, nextCursor: null }
  const nextCursor = Buffer.from(JSON.stringify([scopeOf(request), next])).toString('base64url')
  const [path = '', query] = request.url.split('?')
  const link = new URLSearchParams(query)
  link.set('cursor', nextCursor)
  reply.header('link', `<${path}?${link}>; rel="next"`)
  return { items, nextCursor }
}

function parse(cursor: string): [unknown, unknown] | undefined {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'))
    return Array.isArray(parsed) && parsed.length === 2 ? [parsed[0], parsed[1]] : undefined
  } catch {
    return undefined
  }
}

/** Which list it is: a position of another one would skip what was never shown. */
function scopeOf(request: FastifyRequest): string {
  const { limit: _, cursor: __, ...filters } = request.query as Query & Record<string, unknown>
  const { accountId, project } = callerOf(request)
  const list = [accountId, project?.id, request.routeOptions.url, request.params, Object.entries(filters).sort(([a], [b]) => (a < b ? -1 : 1))]
  return createHash('sha256').update(JSON.stringify(list)).digest('base64url').slice(0, 12)
}

/** Postgres takes neither NUL nor half of a surrogate pair. */
function isText(position: unknown): boolean {
  return typeof position === 'string' && position.isWellFormed() && !position.includes('\u0000')
}

function fault(message: string): Error {
  return validationError([{ path: 'cursor', message }])
}
