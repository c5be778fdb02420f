import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { scopesOfRole } from '#core/access.ts'
import { NewProjectBody, NewProjectView } from '#core/account-api.ts'
import { ProjectChange, ProjectList, ProjectView } from '#core/api.ts'
import { RGridError } from '#core/errors.ts'
import { PlainPage } from '#core/list-api.ts'
import { createKey, readKey } from '#store/api-keys.ts'
import { changeProject, createProject, deleteProject, listProjects, readProject } from '#store/projects.ts'
import { CALLERS, inAccount, inProject } from '../access/access.ts'
import { callerOf, dbOf, principalOf } from '../access/authorise.ts'
import { roleIn } from '../access/caller.ts'
import { holdCaller } from '../access/hold-caller.ts'
import { audit } from '../audit.ts'
import type { RouteOptions } from '../deps.ts'
import { once, sendAnswer } from '../idempotent.ts'
import { positionOf, sendPage } from '../pages.ts'
import { UNCOMPRESSED } from '../plugins/compression.ts'
import { revalidated } from '../plugins/revalidation.ts'

const Slug = Type.Object({ slug: Type.String() })

/** Projects: what jobs, keys and settings belong to. */
export const projectRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  app.get(
    '/projects',
    { ...revalidated(CALLERS), schema: { summary: 'The projects that the credential may use', querystring: PlainPage, response: { 200: ProjectList } } },
    async (request, reply) => {
      const caller = callerOf(request)
      const ids = caller.project ? [caller.project.id] : caller.role === null ? [...caller.projectRoles.keys()] : 'all'
      return sendPage(request, reply, await listProjects(dbOf(request), ids, { after: positionOf(request, 'text'), limit: request.query.limit ?? 200 }))
    },
  )

  app.post(
    '/projects',
    {
      ...inAccount('account:admin'),
      ...UNCOMPRESSED,
      schema: { summary: 'Make a project, with a first API key, which is answered this once', body: NewProjectBody, response: { 201: NewProjectView } },
    },
    async (request, reply) => {
      const caller = callerOf(request)
      const { slug, name = slug } = request.body
      const answer = await once(deps, request, async (tx) => {
        await holdCaller(tx, request)
        const projectId = await createProject(tx, caller.accountId, slug, name)
        if (projectId === undefined) throw new RGridError('conflict', `the account has a project "${slug}" already`)
        const owner = { accountId: caller.accountId, projectId }
        const scopes = scopesOfRole(roleIn(caller, projectId) ?? 'viewer')
        const { id, key } = await createKey(tx, owner, { name: 'first', scopes, environment: 'live', expiresInSeconds: null, createdBy: caller.id })
        const view = await readKey(tx, projectId, id)
        if (!view) throw new Error(`key ${id} was stored and is not there`)
        await audit(tx, request, 'project.create', projectId, { slug, keyId: id })
        return { body: { ...(await readProject(tx, projectId)), apiKey: { ...view, key } }, location: `/v1/projects/${slug}` }
      })
      return sendAnswer(reply, answer)
    },
  )

  app.get(
    '/projects/:slug',
    { ...revalidated(inProject('project:read')), schema: { summary: 'A project', params: Slug, response: { 200: ProjectView } } },
    (request) => readProject(dbOf(request), principalOf(request).projectId),
  )

  app.patch(
    '/projects/:slug',
    {
      ...inProject('project:admin'),
      schema: { summary: 'Change the name of a project, or how long it keeps things', params: Slug, body: ProjectChange, response: { 200: ProjectView } },
    },
    async (request) => {
      const { projectId } = principalOf(request)
      return dbOf(request).transaction(async (tx) => {
        await changeProject(tx, projectId, request.body)
        await audit(tx, request, 'project.change', projectId, request.body)
        return readProject(tx, projectId)
      })
    },
  )

  app.delete(
    '/projects/:slug',
    {
      ...inProject('account:own'),
      schema: {
        summary: 'Delete a project whose jobs have all ended: keys and webhooks end at once, what it kept goes within a day',
        params: Slug,
        response: { 204: Type.Null() },
      },
    },
    async (request, reply) => {
      const { projectId, projectSlug } = principalOf(request)
      await dbOf(request).transaction(async (tx) => {
        const open = await deleteProject(tx, projectId)
        if (open > 0) throw new RGridError('conflict', `${open === 1000 ? '1000 or more' : open} jobs of "${projectSlug}" have not ended; cancel them first`)
        await audit(tx, request, 'project.delete', projectId, { slug: projectSlug })
      })
      return reply.code(204).send(null)
    },
  )
}
