import { formatBytes } from '#core/job/quantity.ts'
import type { Command } from '../command.ts'
import { onlyArgument } from '../parse.ts'

/** `rgrid outputs`. */
export const outputsCommand: Command = {
  name: 'outputs',
  usage: 'JOB',
  summary: 'Lists the outputs of a job.',
  options: { json: { type: 'boolean', help: 'print JSON, a line an output' } },
  async run({ client, print }, options, args) {
    const items = await Array.fromAsync(client().all('GET /v1/jobs/:id/artifacts', { params: { id: onlyArgument(args, 'job') } }))
    if (options.json === true) for (const item of items) print.json(item)
    else print.table([['PATH', 'SIZE', 'SHA-256', 'ID'], ...items.map((item) => [item.path, formatBytes(item.sizeBytes), item.sha256.slice(0, 16), item.id])])
    return 0
  },
}
