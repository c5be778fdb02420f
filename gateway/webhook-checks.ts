import { type Issue, validationError } from '#core/errors.ts'
import type { ResolvedSpec } from '#core/job/resolve.ts'
import { webhookUrlFault } from '#core/webhook-targets.ts'
import { hasJobsWebhook } from '#store/webhooks.ts'
import type { Principal } from './access/caller.ts'
import type { TenantDeps } from './deps.ts'

/** Throws when a job names an address that may not be called, or when the project has no secret to sign with. `at` is the field of the webhook in the document. */
export async function checkWebhook(deps: TenantDeps, principal: Principal, { webhook }: ResolvedSpec, at: string): Promise<void> {
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
