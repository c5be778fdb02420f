import { type Issue, validationError } from '#core/errors.ts'
import type { ValidJob } from '#core/job/validate.ts'
import { openBatch, type ValidHead } from '#core/job/validate-batch.ts'
import type { RuntimeTable } from '#core/runtimes.ts'

/** A Batch document checked whole, with the jobs of its items in their order. Throws a `validation` error that names every fault. */
export function validateBatch(value: unknown, runtimes: RuntimeTable): ValidHead & { jobs: ValidJob[] } {
  const { reader, items } = openBatch(value, runtimes)
  const issues: Issue[] = []
  const jobs = items.flatMap((item, index) => reader.read(item, `items.${index}`, issues) ?? [])
  if (issues.length > 0) throw validationError(issues)
  return { ...reader.head, jobs }
}
