import type { CancelResult } from '#core/api.ts'
import type { Command } from '../command.ts'
import { onlyArgument } from '../parse.ts'

/** `rgrid cancel`. */
export const cancelCommand: Command = {
  name: 'cancel',
  usage: 'JOB|BATCH',
  summary: 'Cancels a job, or every job of a batch.',
  options: { json: { type: 'boolean', help: 'print JSON' } },
  async run({ client, print }, options, args) {
    const id = onlyArgument(args, 'job or batch')
    const kind = id.startsWith('batch_') ? 'batches' : 'jobs'
    const result = await client().post<CancelResult>(`/v1/${kind}/${encodeURIComponent(id)}/cancel`)
    if (options.json === true) print.json(result)
    else print.out(`${result.cancelled} cancelled, ${result.requested} running told to stop`)
    return 0
  },
}
