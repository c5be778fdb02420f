import type { Static, TSchema } from '@sinclair/typebox'
import { type TypeCheck, TypeCompiler } from '@sinclair/typebox/compiler'
import { type ValueError, ValueErrorType } from '@sinclair/typebox/errors'
import { type Issue, validationError } from '../errors.ts'
import type { RuntimeTable } from '../runtimes.ts'
import { type ResolvedSpec, resolveSpec } from './resolve.ts'
import { JobSpec } from './spec.ts'

/** The most faults that one answer names. */
export const MAX_ISSUES = 50
const jobCheck = TypeCompiler.Compile(JobSpec)

/** A job that may be stored. */
export interface ValidJob {
  name: string | null
  labels: Record<string, string>
  project: string | null
  resolved: ResolvedSpec
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

/** A name that is misspelt would leave a secret in the open. */
export function maskIssues({ env, secretEnv = {}, maskEnv }: ResolvedSpec, at: string, whose = ''): Issue[] {
  return (maskEnv ?? []).flatMap((name, i) =>
    Object.hasOwn(env, name) || Object.hasOwn(secretEnv, name) ? [] : { path: `${at}.maskEnv.${i}`, message: `"${name}" is not in env${whose}` },
  )
}

/** The value, when it is what the schema says. Throws a `validation` error that names every faulty field. */
export function checked<T extends TSchema>(check: TypeCheck<T>, value: unknown): Static<T> {
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
