import { Type } from '@sinclair/typebox'
import { TypeCompiler } from '@sinclair/typebox/compiler'
import { BatchItem, BatchSpec, MAX_BATCH_ITEMS, mergeItem } from '../batch.ts'
import { type Issue, validationError } from '../errors.ts'
import type { RuntimeTable } from '../runtimes.ts'
import { type ResolvedSpec, resolveSpec } from './resolve.ts'
import { checked, maskIssues, schemaIssues, type ValidJob } from './validate.ts'

/** A Batch document without its items: what stands first where they are streamed. */
export const BatchHead = Type.Omit(BatchSpec, ['items'], { additionalProperties: false })

const headCheck = TypeCompiler.Compile(BatchHead)
const itemCheck = TypeCompiler.Compile(BatchItem)
const outlineCheck = TypeCompiler.Compile(
  Type.Composite([BatchHead, Type.Object({ items: Type.Array(Type.Unknown(), { minItems: 1, maxItems: MAX_BATCH_ITEMS }) })], { additionalProperties: false }),
)

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

/** Takes the items of a batch one by one. */
export interface BatchReader {
  head: ValidHead
  /** The job of an item, any value. Faults are added to `issues`, with paths below `at`; then it is not to be stored. */
  read(item: unknown, at: string, issues: Issue[]): ValidJob | undefined
  /** The job of an item that was found right before. */
  again(item: unknown): ValidJob
}

/** Begins with the head of a batch. Throws a `validation` error that names every faulty field. */
export function readBatchHead(value: unknown, runtimes: RuntimeTable): BatchReader {
  const document = checked(headCheck, value)
  const issues: Issue[] = []
  const template = resolveSpec(document.template, runtimes, issues, 'template')
  if (issues.length > 0) throw validationError(issues)
  const sharedInputs = document.template.files?.inputs?.length ?? 0
  const labels = document.metadata?.labels ?? {}
  const reader: BatchReader = {
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
    again(item) {
      const job = reader.read(item, '', [])
      if (!job) throw new Error('an item that was right is not any more')
      return job
    },
  }
  return reader
}

/** Begins with a whole Batch document of any origin, whose items are not looked at yet. Throws like `readBatchHead`. */
export function openBatch(value: unknown, runtimes: RuntimeTable): { reader: BatchReader; items: readonly unknown[] } {
  const { items, ...document } = checked(outlineCheck, value)
  return { reader: readBatchHead(document, runtimes), items }
}

/** A field of a merged spec under the name that it has in the item: inputs stand behind those of the template there. */
function itemField(field: string, sharedInputs: number): string {
  return field.replace(/^files\.inputs(\.\d+)?/, (_, index?: string) => (index === undefined ? 'inputs' : `inputs.${Number(index.slice(1)) - sharedInputs}`))
}
