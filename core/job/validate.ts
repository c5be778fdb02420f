import type { Static, TSchema } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { type ValueError, ValueErrorType } from '@sinclair/typebox/errors'
import { type BatchItem, BatchSpec, mergeItem } from '../batch.ts'
import { type Issue, validationError } from '../errors.ts'
import type { RuntimeTable } from '../runtimes.ts'
import { type ResolvedSpec, resolveSpec } from './resolve.ts'
import { JobSpec } from './spec.ts'

const MAX_ISSUES = 50
const jobCheck = TypeCompiler.Compile(JobSpec)
const batchCheck = TypeCompiler.Compile(BatchSpec)

/** A job that may be stored. */
export interface ValidJob {
  name: string | null
  labels: Record<string, string>
  project: string | null
  resolved: ResolvedSpec
}

/** A batch that may be stored; `jobs` in the order of its items. */
export interface ValidBatch {
  name: string | null
  labels: Record<string, string>
  project: string | null
  parallel: number | null
  maxFailures: number | null
  /** How many inputs of each job are the template's; those of the item come behind them. */
  sharedInputs: number
  jobs: ValidJob[]
}

/** Checks a Job document of any origin. Throws a `validation` error that names every faulty field. */
export function validateJob(document: unknown, runtimes: RuntimeTable): ValidJob {
  const job = checked(jobCheck, document)
  const issues: Issue[] = []
  const resolved = resolveSpec(job.spec, runtimes, issues)
  issues.push(...maskIssues(resolved, 'spec'))
  if (issues.length > 0) throw validationError(issues)
  return { name: job.metadata?.name ?? null, labels: job.metadata?.labels ?? {}, project: job.metadata?.project ?? null, resolved }
}

/** Checks a Batch document of any origin, each item merged with the template. Throws like `validateJob`. */
export function validateBatch(document: unknown, runtimes: RuntimeTable): ValidBatch {
  const batch = checked(batchCheck, document)
  const issues: Issue[] = []
  resolveSpec(batch.template, runtimes, issues, 'template')
  const ofTemplate = new Set(issues.map((issue) => issue.path.replace('template.', '')))
  const sharedInputs = batch.template.files?.inputs?.length ?? 0
  const labels = batch.metadata?.labels ?? {}
  const jobs = batch.items.map((item: BatchItem, index): ValidJob => {
    const itemIssues: Issue[] = []
    const resolved = resolveSpec(mergeItem(batch.template, item), runtimes, itemIssues, `items.${index}`)
    if (issues.length < MAX_ISSUES) issues.push(...maskIssues(resolved, 'template', ` of item ${index}`))
    for (const { path, message } of itemIssues) {
      const field = path.replace(`items.${index}.`, '')
      if (issues.length < MAX_ISSUES && !ofTemplate.has(field)) issues.push({ path: `items.${index}.${itemField(field, sharedInputs)}`, message })
    }
    return { name: item.name ?? null, labels: { ...labels, ...item.labels }, project: null, resolved }
  })
  if (issues.length > 0) throw validationError(issues.slice(0, MAX_ISSUES))
  return {
    name: batch.metadata?.name ?? null,
    labels,
    project: batch.metadata?.project ?? null,
    parallel: batch.parallel ?? null,
    maxFailures: batch.maxFailures ?? null,
    sharedInputs,
    jobs,
  }
}

/** A name that is misspelt would leave a secret in the open. */
function maskIssues({ env, maskEnv }: ResolvedSpec, at: string, whose = ''): Issue[] {
  return (maskEnv ?? []).flatMap((name, i) => (Object.hasOwn(env, name) ? [] : { path: `${at}.maskEnv.${i}`, message: `"${name}" is not in env${whose}` }))
}

/** A field of a merged spec under the name that it has in the item: inputs stand behind those of the template there. */
function itemField(field: string, sharedInputs: number): string {
  return field.replace(/^files\.inputs(\.\d+)?/, (_, index?: string) => (index === undefined ? 'inputs' : `inputs.${Number(index.slice(1)) - sharedInputs}`))
}

function checked<T extends TSchema>(check: TypeCheck<T>, value: unknown): Static<T> {
  if (check.Check(value)) return value
  throw validationError(schemaIssues(check, value))
}

/** The faults of a value against a compiled schema, with dotted paths and sentences, the first of each path. */
export function schemaIssues(check: TypeCheck<TSchema>, value: unknown): Issue[] {
  const issues = new Map<string, Issue>()
  for (const error of check.Errors(value)) {
    const leaf = deepest(error)
    const path = leaf.path.slice(1).replaceAll('~1', '/').replaceAll('~0', '~').split('/').join('.') || '(document)'
    if (!issues.has(path)) issues.set(path, { path, message: sentence(leaf) })
    if (issues.size >= MAX_ISSUES) break
  }
  return [...issues.values()]
}

/** Of a union's branches, the fault that lies deepest in the value says most: `null | {...}` is about the object. */
function deepest(error: ValueError): ValueError {
  if (error.type !== ValueErrorType.Union) return error
  let best = error
  for (const branch of error.errors) {
    for (const inner of branch) {
      const candidate = deepest(inner)
      const isType = candidate.path === error.path && (candidate.type === ValueErrorType.Null || candidate.type === ValueErrorType.Literal)
      if (!isType && candidate.path.length > best.path.length) best = candidate
    }
  }
  return best
}

function sentence(error: ValueError): string {
  const schema = error.schema
  switch (error.type) {
    case ValueErrorType.ObjectAdditionalProperties:
      return schema.patternProperties ? 'is not a name that is allowed here' : 'unknown field; see docs/JOB_SPEC.md for the fields there are'
    case ValueErrorType.ObjectRequiredProperty:
      return 'is required'
    case ValueErrorType.StringPattern:
      return `does not have the right form. ${schema.description ?? `It must match ${schema.pattern}`}`
    case ValueErrorType.Union:
      return `must be ${(schema.anyOf as TSchema[]).map(describe).join(' or ')}`
    default:
      return error.message.replace(/^Expected/, 'must be')
  }
}

function describe(schema: TSchema): string {
  return schema.const !== undefined ? JSON.stringify(schema.const) : `${schema.type}`
}
