import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { ProjectChange, ProjectView } from '#core/api.ts'
import { readProject } from '#store/api-keys.ts'
import { changeRetention } from '#store/retention.ts'
import type { GatewayDeps } from '../deps.ts'
import { principalOf, principalOfProject } from '../plugins/auth.ts'

const Slug = Type.Object({ slug: Type.String() })

/** The project of the key. */
export const projectRoutes: FastifyPluginAsyncTypebox<{ deps: GatewayDeps }> = async (app, { deps }) => {
  app.get(
    '/projects',
    { schema: { summary: 'The projects this key may use', response: { 200: Type.Object({ items: Type.Array(ProjectView) }) } } },
    async (request) => ({
      items: [await readProject(deps.db, principalOf(request).projectId)],
    }),
  )

  app.get('/projects/:slug', { schema: { summary: 'A project', params: Slug, response: { 200: ProjectView } } }, (request) =>
    readProject(deps.db, principalOfProject(request, request.params.slug).projectId),
  )

  app.patch(
    '/projects/:slug',
    { schema: { summary: 'Change how long a project keeps things', params: Slug, body: ProjectChange, response: { 200: ProjectView } } },
    async (request) => {
      const { projectId } = principalOfProject(request, request.params.slug)
      await changeRetention(deps.db, projectId, request.body.retention)
      return readProject(deps.db, projectId)
    },
  )
}
