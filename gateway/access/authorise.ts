import type { FastifyInstance, FastifyRequest } from 'fastify'
import { type Action, roleMay } from '#core/access.ts'
import { RGridError } from '#core/errors.ts'
import { every, monotonicMs } from '#core/service/time.ts'
import { findProject, projectOfObject } from '#store/projects.ts'
import { accountDb, operatorDb, type TenantDb } from '#store/tenant.ts'
import type { GatewayDeps, RouteDeps, TenantDeps } from '../deps.ts'
import { createTurns } from '../limits/turns.ts'
import type { Access } from './access.ts'
import { type Caller, may, type Principal, type ProjectRef, sees } from './caller.ts'
import type { Callers, Credential } from './callers.ts'

/** What was found out about a request before its route runs. */
interface Standing {
  caller: Caller
  /** Where the route is within a project. */
  principal: Principal | null
  db: TenantDb
  /** When the credential was looked at last, by monotonicMs. */
  lookedAtMs: number
  /** The caller as it is by now. Throws `unauthenticated` or `forbidden` when it may not do any more what was asked. */
  again(): Promise<Caller>
}

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by authoriseRequests. */
    standing: Standing | null
  }
}

/** Of the connections to Postgres of this process (gateway/main.ts), so many may be in use for one account at once. */
const CONNECTIONS_OF_ACCOUNT = 6
/** Further transactions of it wait; beyond that they are refused. */
const WAITING_OF_ACCOUNT = 2000

/**
 * Lets a request through to its route when its credential allows what the route says (`config.access`); what another tenant
 * has is not found. A route that does not say who may use it is refused when it is registered.
 */
export function authoriseRequests(app: FastifyInstance, deps: Pick<GatewayDeps, 'pool'>, callers: Callers): void {
  const turns = createTurns(CONNECTIONS_OF_ACCOUNT, WAITING_OF_ACCOUNT)
  app.decorateRequest('standing', null)
  app.addHook('onRoute', (route) => {
    if (!route.config?.access) throw new Error(`${route.method} ${route.url} does not say who may use it (config.access)`)
  })
  app.addHook('onRequest', async (request) => {
    const access = request.routeOptions.config.access
    // Only what the router itself answers has none.
    if (!access || access.where === 'open') return
    const credential = credentialOf(request)
    const lookedAtMs = monotonicMs()
    const caller = await callers.find(credential)
    const db = access.where === 'operator' ? operatorDb(deps.pool) : accountDb(deps.pool, caller.accountId, (work) => turns.take(caller.accountId, work))
    const principal = await authorise(request, access, caller, db)
    const again = async () => {
      const now = await callers.again(caller, credential)
      requireRight(now, access, principal?.projectId ?? null)
      return now
    }
    request.standing = { caller, principal, db, lookedAtMs, again }
  })
  // A body may take minutes to come.
  app.addHook('preValidation', async (request) => {
    if (request.standing) await requireStillAllowed(request)
  })
}

async function authorise(request: FastifyRequest, access: Access, caller: Caller, db: TenantDb): Promise<Principal | null> {
  const project = access.where === 'slug' || access.where === 'query' || access.where === 'object' ? await findScope(request, access, caller, db) : null
  requireRight(caller, access, project?.id ?? null)
  return project && { caller, accountId: caller.accountId, projectId: project.id, projectSlug: project.slug }
}

/** Throws `forbidden` when the caller may not do that: in this project, where the route is within one. */
function requireRight(caller: Caller, access: Access, projectId: string | null): void {
  switch (access.where) {
    case 'open':
    case 'caller':
      return
    case 'operator':
      if (!caller.operator) throw new RGridError('forbidden', 'only operators may do this: the API key needs the scope "operator"')
      return
    case 'account':
      if (caller.kind === 'key') throw new RGridError('forbidden', 'this is of the account, and an API key is for one project: sign in as a person')
      // Whoever is a member of one project only sees nothing of the rest.
      if (!roleMay(caller.role, access.action)) throw denied(caller, access.action)
      return
    default:
      if (!may(caller, access.action, projectId)) throw denied(caller, access.action)
  }
}

async function findScope(
  request: FastifyRequest,
  access: Extract<Access, { where: 'slug' | 'query' | 'object' }>,
  caller: Caller,
  db: TenantDb,
): Promise<ProjectRef> {
  if (access.where === 'object') {
    const id = (request.params as { id: string }).id
    // Of a key the project is known, and what is read is read within it; only before a change it is looked up all the same.
    const known = request.method === 'GET' || request.method === 'HEAD' ? caller.project : null
    const project = known ?? (await projectOfObject(db, access.kind, id))
    if (!project || !sees(caller, project.id))
      throw new RGridError('not_found', `there is no ${access.kind} ${id} in this ${caller.project ? 'project' : 'account'}`)
    return project
  }
  const slug = access.where === 'slug' ? (request.params as { slug: string }).slug : (request.query as { project?: unknown }).project
  if (slug === undefined && caller.project) return caller.project
  if (typeof slug !== 'string') throw new RGridError('bad_request', 'project: name the project, by its slug: ?project=…')
  const project = caller.project ? (caller.project.slug === slug ? caller.project : undefined) : await findProject(db, slug)
  if (project && sees(caller, project.id)) return project
  const hint = caller.project ? `that this key may use; its project is "${caller.project.slug}"` : 'that you may use; GET /v1/projects lists yours'
  throw new RGridError('not_found', `there is no project "${slug}" ${hint}`)
}

function denied(caller: Caller, action: Action): RGridError {
  return new RGridError('forbidden', caller.kind === 'key' ? `the API key needs the scope "${action}"` : `your role does not allow "${action}"`)
}

/** The credential of a request: `Authorization: Bearer …` or `X-RGrid-Key: …`. Throws `unauthenticated`. */
function credentialOf(request: FastifyRequest): Credential {
  const bearer = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
  const key = request.headers['x-rgrid-key']
  const account = request.headers['x-rgrid-account']
  const token = bearer ?? (typeof key === 'string' && key !== '' ? key : undefined)
  if (token === undefined)
    throw new RGridError('unauthenticated', 'a credential is needed: "Authorization: Bearer …" with an API key or a token, or "X-RGrid-Key: …"')
  return { token, account: typeof account === 'string' && account !== '' ? account : undefined }
}

function standingOf(request: FastifyRequest): Standing {
  if (!request.standing) throw new RGridError('unauthenticated', 'a credential is needed')
  return request.standing
}

/** Whom the request speaks for. */
export function callerOf(request: FastifyRequest): Caller {
  return standingOf(request).caller
}

/** The same, within the project that the route is about. */
export function principalOf(request: FastifyRequest): Principal {
  const { principal } = standingOf(request)
  if (!principal) throw new Error(`${request.routeOptions.url} is not within a project`)
  return principal
}

/** The project that the route is about; undefined where it is about none. */
export function projectOf(request: FastifyRequest): ProjectRef | undefined {
  const principal = request.standing?.principal
  return principal ? { id: principal.projectId, slug: principal.projectSlug } : undefined
}

/** The database as the caller's account sees it; that of operators where the route is theirs. */
export function dbOf(request: FastifyRequest): TenantDb {
  return standingOf(request).db
}

/** With the half second that a caller is remembered, below the second within which a revoked key must end what it began. */
const LOOK_AGAIN_MS = 400

/**
 * Looks at the credential again when that is some time ago, and takes over what has changed of its rights: for what goes on when a body has
 * come at last. Throws `unauthenticated` or `forbidden` when the caller may not do any more what was asked.
 */
export async function requireStillAllowed(request: FastifyRequest): Promise<void> {
  const standing = standingOf(request)
  const nowMs = monotonicMs()
  if (nowMs - standing.lookedAtMs < LOOK_AGAIN_MS) return
  const caller = await standing.again()
  request.standing = { ...standing, caller, principal: standing.principal && { ...standing.principal, caller }, lookedAtMs: nowMs }
}

/** Calls `end` once the caller may not do any more what the request asked for, until the returned function is called: for answers that go on and on. */
export function whileAllowed(request: FastifyRequest, end: () => void): () => void {
  let looking = false
  return every(LOOK_AGAIN_MS, () => {
    if (looking) return
    looking = true
    standingOf(request)
      .again()
      // A database that is away takes nobody's rights.
      .catch((error: unknown) => error instanceof RGridError && error.code !== 'unavailable' && end())
      .finally(() => {
        looking = false
      })
  })
}

/** What a route stands on, with the caller's view of the database. */
export function depsOf(deps: RouteDeps, request: FastifyRequest): TenantDeps {
  return { ...deps, db: dbOf(request) }
}
