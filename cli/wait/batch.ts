import type { BatchView } from '#core/api.ts'
import { errorText } from '#core/errors.ts'
import type { Client } from '../client.ts'
import type { Printer } from '../print.ts'
import { shown } from '../terminal-text.ts'
import { waitingText } from './notice.ts'
import { createTeller } from './teller.ts'

/** Says on stderr why nothing of a batch runs, whenever that takes longer than a moment. */
export interface BatchWait {
  /** The batch as it is now. */
  show(batch: BatchView): void
  /** To be called when it is followed no more. */
  end(): void
}

/**
 * See the interface. One line stands for the whole batch, with the reason of its first job that is queued, else that is held:
 * while others run, that some wait is the way of a batch.
 */
export function createBatchWait(client: Client, print: Printer, project: string, batchId: string): BatchWait {
  let counts: BatchView['counts'] | undefined
  const waiting = () => (counts?.queued ?? 0) + (counts?.held ?? 0)
  const teller = createTeller({
    anew: false,
    async ask(signal) {
      const query = { batch: batchId, state: counts?.queued ? 'queued' : 'held', limit: 1 }
      const page = await client.once(signal, 'GET /v1/projects/:slug/jobs', { params: { slug: project }, query })
      const [job] = page.items
      if (!job) return undefined
      const explanation = await client.once(signal, 'GET /v1/jobs/:id/explain', { params: { id: job.id } })
      if (explanation.state !== 'queued' && explanation.state !== 'held') return undefined
      const many = waiting() === 1 ? '1 job,' : `${waiting()} jobs, such as`
      return { subject: `${batchId}: ${many} ${job.name ?? `item ${job.batchIndex}`}`, id: batchId, explanation }
    },
    tell: (told) => print.say(print.colour('dim', `rgrid: ${waitingText(told)}`)),
    trouble: (error) => print.say(`rgrid: why ${batchId} waits cannot be told: ${shown(errorText(error))}`),
  })
  return {
    show(batch) {
      counts = batch.counts
      teller.hear(batch.finishedAt === null && counts.running === 0 && waiting() > 0)
    },
    end: () => teller.hear(false),
  }
}
