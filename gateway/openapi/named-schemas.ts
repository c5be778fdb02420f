import type { TSchema } from '@sinclair/typebox'
import * as account from '#core/account-api.ts'
import * as api from '#core/api.ts'
import { BatchItem, BatchSpec } from '#core/batch.ts'
import { InputFile, JobSpec, OutputFile, Spec } from '#core/job/spec.ts'
import * as key from '#core/key-api.ts'
import * as limit from '#core/limit-api.ts'
import * as logSearch from '#core/log-search-api.ts'
import * as operator from '#core/operator-api.ts'
import * as secret from '#core/secret-api.ts'
import { SignInView } from '#core/sign-in-api.ts'
import * as webhook from '#core/webhook-api.ts'

/** The shapes that have names in the document, so that generated clients have types of these names; the largest first. */
const NAMED: Readonly<Record<string, TSchema>> = {
  JobSpec,
  BatchSpec,
  BatchItem,
  Spec,
  InputFile,
  OutputFile,
  JobDetail: api.JobDetail,
  Job: api.JobView,
  Attempt: api.AttemptView,
  Batch: api.BatchView,
  CancelResult: api.CancelResult,
  Artifact: api.ArtifactView,
  Download: api.Download,
  FileRequest: api.FileRequest,
  File: api.FileView,
  LogBatch: api.LogBatch,
  LogChunk: api.LogChunk,
  LogStatus: api.LogStatus,
  LogEnd: api.LogEnd,
  LogMatch: logSearch.LogMatch,
  LogSearchSummary: logSearch.LogSearchSummary,
  Project: api.ProjectView,
  ProjectChange: api.ProjectChange,
  Retention: api.Retention,
  NewKey: key.NewKeyView,
  Key: key.KeyView,
  KeyRequest: key.NewKeyBody,
  Secret: secret.SecretView,
  SecretRequest: secret.SecretBody,
  WebhookWithSecret: webhook.WebhookWithSecret,
  Webhook: webhook.WebhookView,
  WebhookRequest: webhook.NewWebhookBody,
  WebhookChange: webhook.WebhookChangeBody,
  DeliveryDetail: webhook.DeliveryDetail,
  Delivery: webhook.DeliveryView,
  Try: webhook.TryView,
  Me: account.MeView,
  Account: account.AccountView,
  Member: account.MemberView,
  OperatorAuditEntry: account.OperatorAuditEntry,
  AuditEntry: account.AuditEntry,
  SignIn: SignInView,
  ProjectLimits: limit.LimitsView,
  AccountLimits: limit.AccountLimitsView,
  Limits: limit.Limits,
  LimitsChange: limit.LimitsChange,
  AccountLimitsChange: limit.AccountLimitsChange,
  Usage: limit.Usage,
  Node: operator.NodeView,
  NodeCredential: operator.NodeCredential,
  EnrolRequest: operator.EnrolRequest,
  Diagnosis: operator.Diagnosis,
  Problem: api.Problem,
}

/** Replaces each shape that has a name by a reference to it, wherever it stands, and returns the shapes by their names. */
export function nameSchemas(document: object): Record<string, unknown> {
  const names = new Map(Object.entries(NAMED).map(([name, schema]) => [canonical(schema), name]))
  const replace = (value: unknown, whole = false): unknown => {
    if (typeof value !== 'object' || value === null) return value
    const name = whole || Array.isArray(value) ? undefined : names.get(canonical(value))
    if (name !== undefined) return { $ref: `#/components/schemas/${name}` }
    for (const [field, inner] of Object.entries(value)) (value as Record<string, unknown>)[field] = replace(inner)
    return value
  }
  replace(document)
  return Object.fromEntries(Object.entries(NAMED).map(([name, schema]) => [name, replace(JSON.parse(JSON.stringify(schema)), true)]))
}

/** The same text for the same shape, however its fields are ordered, before and after @fastify/swagger has rewritten it. */
function canonical(schema: unknown): string {
  return JSON.stringify(schema, (_, value: unknown) => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
    return Object.fromEntries(
      Object.entries(value)
        .map(asRewritten)
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    )
  })
}

function asRewritten([field, value]: [string, unknown]): [string, unknown] {
  if (field === 'const' && typeof value !== 'object') return ['enum', [value]]
  if (field === 'patternProperties') return ['additionalProperties', Object.values(value as object)[0]]
  return [field, value]
}
