import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Type } from '@sinclair/typebox'
import { readProject } from '#store/api-keys.ts'
import type { GatewayDeps } from '../deps.ts'
import { principalOf, principalOfProject } from '../plugins/auth.ts'

const Project = Type.Object({ id: Type.String(), slug: Type.String(), name: Type.String(), createdAt: Type.String() })

/** The project of the key. */
export const projectRoutes: FastifyPluginAsyncTypebox<{ deps: GatewayDeps }> = async (app, { deps }) => {
  app.get(
    '/projects',
    { schema: { summary: 'The projects this key may use', response: { 200: Type.Object({ items: Type.Array(Project) }) } } },
    async (request) => ({
      items: [await readProject(deps.db, principalOf(request).projectId)],
    }),
  )
  app.get('/projects/:slug', { schema: { summary: 'A project', params: Type.Object({ slug: Type.String() }), response: { 200: Project } } }, (request) =>
    readProject(deps.db, principalOfProject(request, request.params.slug).projectId),
  )
}
