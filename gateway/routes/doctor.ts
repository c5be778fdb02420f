import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Diagnosis } from '#core/operator-api.ts'
import { OPERATORS } from '../access/access.ts'
import { depsOf } from '../access/authorise.ts'
import type { RouteOptions } from '../deps.ts'
import { examine } from '../doctor.ts'

/** Below what clients wait. */
const DEADLINE_MS = 45_000

/** What operators ask when something seems wrong. */
export const doctorRoutes: FastifyPluginAsyncTypebox<RouteOptions> = async (app, { deps }) => {
  app.get(
    '/doctor',
    { ...OPERATORS, schema: { summary: 'Look at the whole installation: what must hold, and what does not', response: { 200: Diagnosis } } },
    async (request) => {
      const findings = await examine(depsOf(deps, request), AbortSignal.timeout(DEADLINE_MS))
      const checks = findings.map((finding) => ({ ...finding, ok: finding.problems.length === 0 }))
      return { ok: checks.every((check) => check.ok), checks }
    },
  )
}
