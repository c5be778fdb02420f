import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import type { FastifyRequest } from 'fastify'
import type { Role } from '#core/access.ts'
import { MemberList, MemberRole, MemberView } from '#core/account-api.ts'
import { RGridError, validationError } from '#core/errors.ts'
import { PlainPage } from '#core/list-api.ts'
import { type Circle, countOwners, listMembers, lockMember, readMember, removeMember, setMember } from '#store/members.ts'
import type { Tx } from '#store/pool.ts'
import { inAccount, inProject } from '../access/access.ts'
import { callerOf, dbOf, projectOf } from '../access/authorise.ts'
import { mayAppoint } from '../access/caller.ts'
import { audit } from '../audit.ts'
import type { RouteOptions } from '../deps.ts'
import { positionOf, sendPage } from '../pages.ts'

const UserId = { userId: Type.String() }

/** Who may do what: in the account, and in one project of it. */
export const memberRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app) => {
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
          await listMembers(dbOf(request), circleOf(request), { after: positionOf(request, 'text'), limit: request.query.limit ?? 200 }),
        ),
    )

    app.put(
      `${path}/:userId`,
      {
        ...within('members:admin'),
        schema: {
          summary: `Give somebody a role in the ${whose}; GET /v1/me tells people their id`,
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
          if (was?.role === 'owner' && role !== 'owner') await requireAnotherOwner(tx, circle)
          if (!(await setMember(tx, circle, userId, role))) throw noUser(userId)
          await audit(tx, request, 'member.set', userId, { role, was: was?.role ?? null })
          return (await readMember(tx, circle, userId)) ?? Promise.reject(noUser(userId))
        })
      },
    )

    app.delete(
      `${path}/:userId`,
      { ...within('members:admin'), schema: { summary: `Take somebody’s role in the ${whose} away`, params: one, response: { 204: Type.Null() } } },
      async (request, reply) => {
        const { userId } = request.params
        const circle = circleOf(request)
        await dbOf(request).transaction(async (tx) => {
          const was = await lockMember(tx, circle, userId)
          if (!was) throw new RGridError('not_found', `${userId} is no member here`)
          requireMight(request, circle, [was.role])
          if (was.source === 'idp')
            throw new RGridError('conflict', `${userId} is a member by the sign-in provider’s word; take them out of the organisation there`)
          if (was.role === 'owner') await requireAnotherOwner(tx, circle)
          await removeMember(tx, circle, userId)
          await audit(tx, request, 'member.remove', userId, { was: was.role })
        })
        return reply.code(204).send(null)
      },
    )
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

async function requireAnotherOwner(tx: Tx, { accountId }: Circle): Promise<void> {
  if ((await countOwners(tx, accountId)) < 2) throw new RGridError('conflict', 'this is the only owner of the account; make somebody else owner first')
}

function noUser(userId: string): RGridError {
  return new RGridError('not_found', `there is nobody with the id ${userId}; whoever has signed in once finds theirs with GET /v1/me`)
}
