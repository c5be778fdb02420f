import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { Diagnosis } from '#core/operator-api.ts'
import type { GatewayDeps } from '../deps.ts'
import { examine } from '../doctor.ts'
import { requireOperator } from '../plugins/auth.ts'

/** Below what clients wait. */
const DEADLINE_MS = 45_000

/** What operators ask when something seems wrong. */
export const doctorRoutes: FastifyPluginAsyncTypebox<{ deps: GatewayDeps }> = async (app, { deps }) => {
  app.get(
    '/doctor',
    { schema: { summary: 'Look at the whole installation: what must hold, and what does not', response: { 200: Diagnosis } } },
    async (request) => {
      requireOperator(request)
      const findings = await examine(deps, AbortSignal.timeout(DEADLINE_MS))
      const checks = findings.map((finding) => ({ ...finding, ok: finding.problems.length === 0 }))
      return { ok: checks.every((check) => check.ok), checks }
    },
  )
}
