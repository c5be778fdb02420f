import { createHash } from 'node:crypto'
import { openBatch } from '#core/job/validate-batch.ts'
import type { RuntimeTable } from '#core/runtimes.ts'
import { createIntake, type IntakeDeps, type ReceivedBatch } from './intake.ts'

/** Takes a batch that is one Batch document. Throws a `validation` error that names every faulty field. */
export async function receiveDocument(document: unknown, bytes: Buffer, runtimes: RuntimeTable, deps: IntakeDeps): Promise<ReceivedBatch> {
  const { reader, items } = openBatch(document, runtimes)
  const intake = createIntake(reader, deps)
  for (const [index, item] of items.entries()) if (!(await intake.take(item, `items.${index}`, 0))) break
  const size = await intake.end()
  return {
    head: reader.head,
    size,
    digest: createHash('sha256').update(bytes).digest('hex'),
    async *jobs() {
      for (const item of items) yield reader.again(item)
    },
  }
}
