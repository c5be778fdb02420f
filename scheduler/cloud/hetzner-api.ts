import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { nowMs, withDeadline } from '#core/service/time.ts'
import type { CallBudget, RateLimit, Urgency } from './call-budget.ts'
import { CloudError } from './cloud.ts'
import { answerError, silenceError } from './hetzner-errors.ts'
import {
  HetznerAction,
  HetznerAddress,
  HetznerCreated,
  HetznerGroup,
  HetznerNamed,
  HetznerPricing,
  HetznerServer,
  HetznerServerType,
  Paged,
} from './hetzner-schema.ts'

/**
 * The calls of Hetzner's API that are needed, typed and checked. Each takes its turn at the budget, has a deadline and throws
 * CloudError.
 */
export interface HetznerApi {
  servers(selector: string, signal: AbortSignal): Promise<HetznerServer[]>
  createServer(body: object, signal: AbortSignal): Promise<HetznerCreated>
  /** Resolves with false when there is no such server. */
  deleteServer(id: string, signal: AbortSignal): Promise<boolean>
  serverTypes(signal: AbortSignal): Promise<HetznerServerType[]>
  pricing(signal: AbortSignal): Promise<HetznerPricing>
  /** Those of the ids that are still known, in one call for each fifty. */
  actions(ids: readonly number[], signal: AbortSignal): Promise<HetznerAction[]>
  addresses(signal: AbortSignal): Promise<HetznerAddress[]>
  labelAddress(id: number, labels: Record<string, string>, signal: AbortSignal): Promise<void>
  deleteAddress(id: string, signal: AbortSignal): Promise<boolean>
  groups(selector: string, signal: AbortSignal): Promise<HetznerGroup[]>
  createGroup(name: string, labels: Record<string, string>, signal: AbortSignal): Promise<HetznerGroup>
  /** Networks or firewalls that a name or a label selector fits. */
  named(kind: 'networks' | 'firewalls', query: { name: string } | { label_selector: string }, signal: AbortSignal): Promise<HetznerNamed[]>
}

/** Where the API is and what opens it. */
export interface HetznerApiOptions {
  url: string
  token: string
  callMs: number
  budget: CallBudget
}

const PER_PAGE = 50
/** More than any project may have; a list that goes on behind it is none. */
const MAX_PAGES = 200
/** A page of fifty servers is about 300 KB. */
const MAX_ANSWER_BYTES = 16 * 2 ** 20
/** A list that changes while it is read is read anew, so often. */
const MAX_READINGS = 4

interface Call {
  method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  path: string
  urgency: Urgency
  query?: URLSearchParams
  body?: object
}

/** Makes the client. It opens nothing before the first call. */
export function createHetznerApi(options: HetznerApiOptions): HetznerApi {
  const { budget } = options

  /** One call. Resolves with undefined when a deletion found nothing. */
  async function call<T extends TSchema>(what: Call, schema: T, signal: AbortSignal): Promise<Static<T> | undefined> {
    await budget.take(what.urgency, signal)
    const changes = what.method === 'POST'
    let limit: RateLimit | null = null
    try {
      const { status, headers, text } = await exchange(what, signal)
      limit = readLimit(headers)
      if (status === 404 && what.method === 'DELETE') return undefined
      const body = parseJson(text)
      if (status >= 400) throw answerError(status, body, changes, status === 429 ? budget.exceeded() : null)
      if (!Value.Check(schema, body)) {
        const fault = Value.Errors(schema, body).First()
        const why = `the answer to ${what.method} ${what.path} is not as documented: ${fault?.path ?? ''} ${fault?.message ?? ''}`
        throw new CloudError(changes ? 'unknown_outcome' : 'away', 'bad_answer', why)
      }
      return body
    } catch (error) {
      // The caller gave up: that is no word about the provider, but an order may be on its way.
      if (signal.aborted && !(error instanceof CloudError) && !changes) throw signal.reason
      throw error instanceof CloudError ? error : silenceError(error, changes)
    } finally {
      budget.answered(limit)
    }
  }

  function exchange(what: Call, outer: AbortSignal): Promise<{ status: number; headers: Headers; text: string }> {
    const query = what.query ? `?${what.query}` : ''
    return withDeadline(
      `${what.method} ${what.path}`,
      options.callMs,
      async (signal) => {
        const response = await fetch(`${options.url}${what.path}${query}`, {
          method: what.method,
          headers: {
            authorization: `Bearer ${options.token}`,
            accept: 'application/json',
            ...(what.body === undefined ? {} : { 'content-type': 'application/json' }),
          },
          ...(what.body === undefined ? {} : { body: JSON.stringify(what.body) }),
          // The token is for this address and no other.
          redirect: 'error',
          signal,
        })
        return { status: response.status, headers: response.headers, text: await readText(response) }
      },
      outer,
    )
  }

  /** Undefined when the list changed while it was read: an entry that went lets another slip from the next page to one that was read. */
  async function readPages<T extends TSchema>(path: string, key: string, item: T, query: Record<string, string>, signal: AbortSignal) {
    const schema = Type.Intersect([Type.Object({ [key]: Type.Array(item) }), Paged])
    const items: Static<T>[] = []
    let total: number | null | undefined
    for (let page: number | null = 1; page !== null; ) {
      const search = new URLSearchParams({ ...query, page: String(page), per_page: String(PER_PAGE) })
      const body = (await call({ method: 'GET', path, query: search, urgency: 'read' }, schema, signal)) as Record<string, Static<T>[]> & Static<typeof Paged>
      const { next_page, total_entries } = body.meta.pagination
      if (total !== undefined && total !== total_entries) return undefined
      total = total_entries
      items.push(...(body[key] ?? []))
      if (next_page !== null && (next_page <= page || page >= MAX_PAGES)) throw new CloudError('away', 'bad_answer', `the list ${path} does not end`)
      page = next_page
    }
    return items
  }

  async function list<T extends TSchema>(path: string, key: string, item: T, query: Record<string, string>, signal: AbortSignal): Promise<Static<T>[]> {
    for (let time = 0; time < MAX_READINGS; time++) {
      const items = await readPages(path, key, item, query, signal)
      if (items) return items
    }
    throw new CloudError('busy', 'list_changes', `the list ${path} changed each time it was read`)
  }

  async function get<T extends TSchema>(what: Call, schema: T, signal: AbortSignal): Promise<Static<T>> {
    return (await call(what, schema, signal)) as Static<T>
  }

  return {
    servers: (selector, signal) => list('/servers', 'servers', HetznerServer, { label_selector: selector, sort: 'id:asc' }, signal),
    createServer: (body, signal) => get({ method: 'POST', path: '/servers', urgency: 'create', body }, HetznerCreated, signal),
    deleteServer: async (id, signal) =>
      (await call({ method: 'DELETE', path: `/servers/${encodeURIComponent(id)}`, urgency: 'delete' }, Type.Object({ action: HetznerAction }), signal)) !==
      undefined,
    serverTypes: (signal) => list('/server_types', 'server_types', HetznerServerType, {}, signal),
    pricing: async (signal) => (await get({ method: 'GET', path: '/pricing', urgency: 'read' }, Type.Object({ pricing: HetznerPricing }), signal)).pricing,
    async actions(ids, signal) {
      const found: HetznerAction[] = []
      for (let at = 0; at < ids.length; at += PER_PAGE) {
        const query = new URLSearchParams({ per_page: String(PER_PAGE) })
        for (const id of ids.slice(at, at + PER_PAGE)) query.append('id', String(id))
        found.push(
          ...(await get({ method: 'GET', path: '/actions', query, urgency: 'read' }, Type.Object({ actions: Type.Array(HetznerAction) }), signal)).actions,
        )
      }
      return found
    },
    addresses: (signal) => list('/primary_ips', 'primary_ips', HetznerAddress, { sort: 'id:asc' }, signal),
    async labelAddress(id, labels, signal) {
      const path = `/primary_ips/${id}`
      await call({ method: 'PUT', path, urgency: 'read', body: { labels, auto_delete: true } }, Type.Object({ primary_ip: HetznerAddress }), signal)
    },
    deleteAddress: async (id, signal) =>
      (await call({ method: 'DELETE', path: `/primary_ips/${encodeURIComponent(id)}`, urgency: 'delete' }, Type.Unknown(), signal)) !== undefined,
    groups: (selector, signal) => list('/placement_groups', 'placement_groups', HetznerGroup, { label_selector: selector, sort: 'id:asc' }, signal),
    async createGroup(name, labels, signal) {
      const body = { name, labels, type: 'spread' }
      return (await get({ method: 'POST', path: '/placement_groups', urgency: 'create', body }, Type.Object({ placement_group: HetznerGroup }), signal))
        .placement_group
    },
    named: (kind, query, signal) => list(`/${kind}`, kind, HetznerNamed, { ...query }, signal),
  }
}

/** The body of an answer; throws when it is longer than any that is documented, before it fills the memory. */
async function readText(response: Response): Promise<string> {
  const pieces: Uint8Array[] = []
  let bytes = 0
  for await (const piece of response.body ?? []) {
    bytes += piece.length
    if (bytes > MAX_ANSWER_BYTES) throw new Error(`an answer is longer than ${MAX_ANSWER_BYTES} bytes`)
    pieces.push(piece)
  }
  return Buffer.concat(pieces).toString('utf8')
}

function parseJson(text: string): unknown {
  try {
    // An answer without a body (204) is one that says nothing.
    return text === '' ? {} : JSON.parse(text)
  } catch {
    return undefined
  }
}

function readLimit(headers: Headers): RateLimit | null {
  const [limit, remaining, reset] = ['ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset'].map((name) => Number(headers.get(name) ?? Number.NaN))
  if (limit === undefined || remaining === undefined || reset === undefined) return null
  if (![limit, remaining, reset].every(Number.isFinite) || limit <= 0) return null
  // Some proxies say in how many seconds instead of when.
  return { limit, remaining, resetAtMs: reset < 1e9 ? nowMs() + reset * 1000 : reset * 1000 }
}
