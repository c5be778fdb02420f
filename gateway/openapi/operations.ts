import { ACCOUNT_OPERATIONS } from './account.ts'
import { COST_OPERATIONS } from './costs.ts'
import { DATA_OPERATIONS } from './data.ts'
import { JOB_OPERATIONS } from './jobs.ts'
import { NODE_OPERATIONS } from './nodes.ts'
import type { Operation } from './operation.ts'
import { PROJECT_OPERATIONS } from './projects.ts'
import { WEBHOOK_OPERATIONS } from './webhooks.ts'

/** Every operation, by method and path. A route that is not among them fails test/integration/gateway/openapi.test.ts. */
export const OPERATIONS: Readonly<Record<string, Operation>> = {
  ...JOB_OPERATIONS,
  ...DATA_OPERATIONS,
  ...WEBHOOK_OPERATIONS,
  ...PROJECT_OPERATIONS,
  ...ACCOUNT_OPERATIONS,
  ...NODE_OPERATIONS,
  ...COST_OPERATIONS,
}
