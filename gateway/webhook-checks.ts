import { type Issue, validationError } from '#core/errors.ts'
import type { ValidJob } from '#core/job/validate.ts'
import { webhookUrlFault } from '#core/webhook-targets.ts'
import type { Principal } from '#store/api-keys.ts'
import { hasJobsWebhook } from '#store/webhooks.ts'
import type { GatewayDeps } from './deps.ts'

/**
 * Throws when a job names an address that may not be called, or when the project has no secret to sign with. `at` is the
 * field of the webhook in the document; all jobs of a batch have the same.
 */
export async function checkWebhook(deps: GatewayDeps, principal: Principal, jobs: readonly ValidJob[], at: string): Promise<void> {
  const webhook = jobs[0]?.resolved.webhook
  if (!webhook) return
  const fault = webhookUrlFault(webhook.url, deps.webhookTargets)
  const issues: Issue[] = fault ? [{ path: `${at}.url`, message: fault }] : []
  if (issues.length === 0 && !(await hasJobsWebhook(deps.db, principal.projectId)))
    issues.push({
      path: at,
      message: 'the project has no secret to sign it with yet; make one: rgrid webhooks secret, or POST /v1/projects/:slug/webhooks {"kind": "jobs"}',
    })
  if (issues.length > 0) throw validationError(issues)
}
