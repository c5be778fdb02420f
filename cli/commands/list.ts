import type { JobPage, JobView } from '#core/api.ts'
import { nowMs } from '#core/service/time.ts'
import { type Command, list, text } from '../command.ts'
import { describeEnd } from '../describe.ts'
import { parseCount } from '../duration.ts'
import { noArguments } from '../parse.ts'
import { age } from '../print.ts'
import { UsageError } from '../usage-error.ts'

const PAGE_SIZE = 200

/** `rgrid list`. */
export const listCommand: Command = {
  name: 'list',
  usage: '',
  summary: 'Lists jobs, newest first (those of a batch in its order).',
  options: {
    state: { type: 'string', help: 'only these states, separated by commas' },
    batch: { type: 'string', value: 'ID', help: 'only jobs of this batch' },
    name: { type: 'string', help: 'only jobs of this name' },
    label: { type: 'string', value: 'K=V', multiple: true, help: 'only jobs with this label; repeatable' },
    limit: { type: 'string', value: 'N', help: 'so many (50)' },
    all: { type: 'boolean', help: 'all of them' },
    json: { type: 'boolean', help: 'print JSON, a line a job' },
  },
  async run({ client, print, defaults }, options, args) {
    noArguments('list', args)
    if (options.all === true && options.limit !== undefined) throw new UsageError('--all and --limit do not go together')
    const limit = options.all === true ? Number.POSITIVE_INFINITY : parseCount('limit', text(options, 'limit') ?? '50', 1, 1_000_000)
    const query = new URLSearchParams()
    for (const name of ['state', 'batch', 'name']) if (text(options, name) !== undefined) query.set(name, text(options, name) as string)
    for (const label of list(options, 'label')) query.append('label', label)
    const project = defaults.project ?? (await client().project())
    const read = () => client().get<JobPage>(`/v1/projects/${encodeURIComponent(project)}/jobs?${query}`)

    const rows: string[][] = []
    let left = limit
    for (let more = true; more; ) {
      query.set('limit', String(Math.min(PAGE_SIZE, left)))
      const { items, nextCursor } = await read()
      if (options.json === true) for (const job of items) print.json(job)
      else rows.push(...items.map(toRow))
      left -= items.length
      more = nextCursor !== null && left > 0
      if (nextCursor !== null) query.set('cursor', nextCursor)
    }
    if (options.json !== true) print.table([['JOB', 'NAME', 'STATE', 'WHY', 'AGE'], ...rows])
    return 0
  },
}

function toRow(job: JobView): string[] {
  return [job.id, job.name ?? '-', job.state, job.finishedAt === null ? (job.reason ?? '') : describeEnd(job), age(job.createdAt, nowMs())]
}
