import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { Role } from '#core/access.ts'
import { MemberList, MemberRole, MemberView, RemovalQuery, RemovedMember } from '#core/account-api.ts'
import { RGridError, validationError } from '#core/errors.ts'
import { PlainPage } from '#core/list-api.ts'
import { recordDeed } from '#store/audit.ts'
import { listMadeKeys, type MadeKey, revokeMadeKeys } from '#store/made-keys.ts'
import { type Circle, hasAnotherOwner, isMember, listMembers, lockMember, readMember, removeMember, setMember } from '#store/members.ts'
import type { Tx } from '#store/pool.ts'
import { inAccount, inProject } from '../access/access.ts'
import { callerOf, dbOf, projectOf } from '../access/authorise.ts'
import { mayAppoint } from '../access/caller.ts'
import { audit, deedOf } from '../audit.ts'
import type { RouteOptions } from '../deps.ts'
import { positionOf, sendPage } from '../pages.ts'

const UserId = { userId: Type.String() }

/** Who may do what: in the account, and in one project of it. */
export const memberRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps: { organisationGraceSeconds: graceSeconds } }) => {
  for (const [path, within, params] of [
    ['/account/members', inAccount, {}],
    ['/projects/:slug/members', inProject, { slug: Type.String() }],
  ] as const) {
    const whose = path.startsWith('/account') ? 'account' : 'project'
    const one = Type.Object({ ...params, ...UserId })

    app.get(
      path,
      {
        ...within('members:read'),
        schema: { summary: `The members of the ${whose}`, params: Type.Object(params), querystring: PlainPage, response: { 200: MemberList } },
      },
      async (request, reply) =>
        sendPage(
          request,
          reply,
          await listMembers(dbOf(request), circleOf(request), graceSeconds, { after: positionOf(request, 'text'), limit: request.query.limit ?? 200 }),
        ),
    )

    app.put(
      `${path}/:userId`,
      {
        ...within('members:admin'),
        schema: {
          summary: `Give somebody a role in the ${whose}, of its own; who was taken out is in again. GET /v1/me tells people their id`,
          params: one,
          body: MemberRole,
          response: { 200: MemberView },
        },
      },
      async (request) => {
        const { userId } = request.params
        const { role } = request.body
        const circle = circleOf(request)
        if (circle.projectId !== null && role === 'owner')
          throw validationError([{ path: 'role', message: 'in a project nobody is owner; that is of the account' }])
        return dbOf(request).transaction(async (tx) => {
          const was = await lockMember(tx, circle, userId)
          requireMight(request, circle, [role, ...(was ? [was.role] : [])])
          requireAnother(request, userId, was?.source)
          if (was?.role === 'owner' && role !== 'owner') await requireAnotherOwner(tx, request, userId)
          if (!(await setMember(tx, circle, userId, role))) throw noUser(userId)
          await audit(tx, request, 'member.set', userId, { role, was: was?.role ?? null, wasSource: was?.source ?? null })
          return (await readMember(tx, circle, graceSeconds, userId)) ?? Promise.reject(noUser(userId))
        })
      },
    )

    app.delete(
      `${path}/:userId`,
      {
        ...within('members:admin'),
        schema: {
          summary: `Take somebody out of the ${whose}, and end the API keys that they made in it`,
          params: one,
          querystring: RemovalQuery,
          response: { 200: RemovedMember },
        },
      },
      (request) => dbOf(request).transaction((tx) => remove(tx, request, circleOf(request), request.params.userId, request.query.keys === 'keep')),
    )
  }

  async function remove(tx: Tx, request: FastifyRequest, circle: Circle, userId: string, isKept: boolean): Promise<RemovedMember> {
    const was = await lockMember(tx, circle, userId)
    requireMight(request, circle, was ? [was.role] : [])
    if (was?.role === 'owner' && was.source !== 'blocked') await requireAnotherOwner(tx, request, userId)
    const { wasMember, isBlocked } = await removeMember(tx, circle, userId)
    if (!wasMember) throw new RGridError('not_found', `${userId} is no member here`)
    const keys = await endKeys(tx, request, circle, userId, isKept)
    const ids = keys.map(({ id }) => id)
    await audit(tx, request, 'member.remove', userId, { was: was?.role ?? null, blocked: isBlocked, [isKept ? 'keptKeys' : 'revokedKeys']: ids })
    return { userId, blocked: isBlocked, keys: keys.map(({ projectId: _, ...key }) => key) }
  }

  /** Whoever is still in by a role in the account keeps their keys of a project. */
  async function endKeys(tx: Tx, request: FastifyRequest, circle: Circle, userId: string, isKept: boolean): Promise<MadeKey[]> {
    if (await isMember(tx, circle, userId)) return []
    if (isKept) return listMadeKeys(tx, circle, userId)
    const keys = await revokeMadeKeys(tx, circle, userId)
    for (const { id, projectId } of keys) await recordDeed(tx, { ...deedOf(request, 'key.revoke', id, { removed: userId }), projectId })
    return keys
  }

  async function requireAnotherOwner(tx: Tx, request: FastifyRequest, userId: string): Promise<void> {
    const { accountId, id } = callerOf(request)
    if (!(await hasAnotherOwner(tx, accountId, userId, id, graceSeconds)))
      throw new RGridError('conflict', 'this is the only owner of the account; make somebody else owner first')
  }
}

function circleOf(request: FastifyRequest): Circle {
  return { accountId: callerOf(request).accountId, projectId: projectOf(request)?.id ?? null }
}

/** Nobody gives a role that is mightier than his own, nor takes one. */
function requireMight(request: FastifyRequest, circle: Circle, roles: readonly Role[]): void {
  const beyond = roles.find((role) => !mayAppoint(callerOf(request), role, circle.projectId))
  if (beyond) throw new RGridError('forbidden', `only somebody who is ${beyond} may give or take the role "${beyond}"`)
}

/** Nobody makes a role that the provider gave him his own, for the time when it does not any more. */
function requireAnother(request: FastifyRequest, userId: string, source: MemberView['source'] | undefined): void {
  if (source === 'idp' && callerOf(request).id === userId)
    throw new RGridError('conflict', 'your role comes from the sign-in provider; somebody else must give you one that does not')
}

function noUser(userId: string): RGridError {
  return new RGridError('not_found', `there is nobody with the id ${userId}; whoever has signed in once finds theirs with GET /v1/me`)
}
