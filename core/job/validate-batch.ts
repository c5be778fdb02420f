import { Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { BatchItem, BatchSpec, mergeItem } from '../batch.ts'
import { type Issue, validationError } from '../errors.ts'
import type { RuntimeTable } from '../runtimes.ts'
import { type ResolvedSpec, resolveSpec } from './resolve.ts'
import { checked, MAX_ISSUES, maskIssues, schemaIssues, type ValidJob } from './validate.ts'

/** A Batch document without its items: what stands first where they are streamed. */
export const BatchHead = Type.Omit(BatchSpec, ['items'], { additionalProperties: false })

const headCheck = TypeCompiler.Compile(BatchHead)
const itemCheck = TypeCompiler.Compile(BatchItem)
const batchCheck = TypeCompiler.Compile(BatchSpec)

/** What all jobs of a batch have in common. */
export interface ValidHead {
  name: string | null
  labels: Record<string, string>
  project: string | null
  parallel: number | null
  maxFailures: number | null
  /** How many inputs of each job are the template's; those of the item come behind them. */
  sharedInputs: number
  /** The template by itself; its webhook is that of each job. */
  template: ResolvedSpec
}

/** A batch that may be stored; `jobs` in the order of its items. */
export interface ValidBatch extends ValidHead {
  jobs: ValidJob[]
}

/** Takes the items of a batch one by one. */
export interface BatchReader {
  head: ValidHead
  /** The job of an item, any value. Faults are added to `issues`, with paths below `at`; then it is not to be stored. */
  read(item: unknown, at: string, issues: Issue[]): ValidJob | undefined
}

/** Begins with the head of a batch. Throws a `validation` error that names every faulty field. */
export function readBatchHead(value: unknown, runtimes: RuntimeTable): BatchReader {
  const document = checked(headCheck, value)
  const issues: Issue[] = []
  const template = resolveSpec(document.template, runtimes, issues, 'template')
  if (issues.length > 0) throw validationError(issues)
  const sharedInputs = document.template.files?.inputs?.length ?? 0
  const labels = document.metadata?.labels ?? {}
  return {
    head: {
      name: document.metadata?.name ?? null,
      labels,
      project: document.metadata?.project ?? null,
      parallel: document.parallel ?? null,
      maxFailures: document.maxFailures ?? null,
      sharedInputs,
      template,
    },
    read(item, at, found) {
      if (!itemCheck.Check(item)) {
        for (const { path, message } of schemaIssues(itemCheck, item)) found.push({ path: path === '(document)' ? at : `${at}.${path}`, message })
        return undefined
      }
      const own: Issue[] = []
      const resolved = resolveSpec(mergeItem(document.template, item), runtimes, own, 'spec')
      const before = found.length
      found.push(...maskIssues(resolved, 'template', ` of ${at}`))
      for (const { path, message } of own) found.push({ path: `${at}.${itemField(path.replace('spec.', ''), sharedInputs)}`, message })
      return found.length > before ? undefined : { name: item.name ?? null, labels: { ...labels, ...item.labels }, project: null, resolved }
    },
  }
}

/** Checks a whole Batch document of any origin, each item merged with the template. Throws like `validateJob`. */
export function validateBatch(value: unknown, runtimes: RuntimeTable): ValidBatch {
  const { items, ...document } = checked(batchCheck, value)
  const reader = readBatchHead(document, runtimes)
  const issues: Issue[] = []
  const jobs: ValidJob[] = []
  for (const [index, item] of items.entries()) {
    const job = reader.read(item, `items.${index}`, issues)
    if (job) jobs.push(job)
    if (issues.length >= MAX_ISSUES) break
  }
  if (issues.length > 0) throw validationError(issues.slice(0, MAX_ISSUES))
  return { ...reader.head, jobs }
}

/** A field of a merged spec under the name that it has in the item: inputs stand behind those of the template there. */
function itemField(field: string, sharedInputs: number): string {
  return field.replace(/^files\.inputs(\.\d+)?/, (_, index?: string) => (index === undefined ? 'inputs' : `inputs.${Number(index.slice(1)) - sharedInputs}`))
}
