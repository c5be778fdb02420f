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
    const route = id.startsWith('batch_') ? 'POST /v1/batches/:id/cancel' : 'POST /v1/jobs/:id/cancel'
    const result = await client().call(route, { params: { id } })
    if (options.json === true) print.json(result)
    else print.out(`${result.cancelled} cancelled, ${result.requested} running told to stop`)
    return 0
  },
}
