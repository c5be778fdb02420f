import type { JobView } from '#core/api.ts'
import type { JobQuery } from '#core/list-api.ts'
import { nowMs } from '#core/service/time.ts'
import type { Client } from '../client.ts'
import { type Command, type Context, list, type OptionValues, text } from '../command.ts'
import { describeEnd } from '../describe.ts'
import { parseCount } from '../duration.ts'
import { noArguments } from '../parse.ts'
import { age } from '../print.ts'
import { createScreen } from '../screen.ts'
import { UsageError } from '../usage-error.ts'
import { watch } from '../watch.ts'

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
    watch: { type: 'boolean', short: 'w', help: 'go on, and show it anew whenever it changes; in a pipe a line a change' },
    json: { type: 'boolean', help: 'print JSON, a line a job' },
  },
  async run(context, options, args) {
    noArguments('list', args)
    if (options.all === true && options.limit !== undefined) throw new UsageError('--all and --limit do not go together')
    const limit = options.all === true ? Number.POSITIVE_INFINITY : parseCount('limit', text(options, 'limit') ?? '50', 1, 1_000_000)
    const { client, print, defaults } = context
    const project = defaults.project ?? (await client().project())
    const pages = () => readJobs(client(), project, options, limit)
    if (options.watch === true) await watchList(context, text(options, 'batch'), pages, options.json === true)
    else if (options.json === true) for await (const items of pages()) for (const job of items) print.json(job)
    else print.table(await tableOf(pages()))
    return 0
  },
}

/** The jobs that the options ask for, page by page. */
async function* readJobs(client: Client, project: string, options: OptionValues, limit: number): AsyncGenerator<JobView[]> {
  const query: JobQuery = { label: list(options, 'label') }
  for (const name of ['state', 'batch', 'name'] as const) {
    const value = text(options, name)
    if (value !== undefined) query[name] = value
  }
  let left = limit
  for (let more = true; more; ) {
    query.limit = Math.min(PAGE_SIZE, left)
    const { items, nextCursor } = await client.call('GET /v1/projects/:slug/jobs', { params: { slug: project }, query })
    yield items
    left -= items.length
    more = nextCursor !== null && left > 0
    if (nextCursor !== null) query.cursor = nextCursor
  }
}

async function tableOf(pages: AsyncIterable<JobView[]>): Promise<string[][]> {
  const rows = [['JOB', 'NAME', 'STATE', 'WHY', 'AGE']]
  for await (const items of pages) rows.push(...items.map(toRow))
  return rows
}

/** On a terminal the list, written anew as it changes; in a pipe each job that is new to it, or has changed, on a line. */
async function watchList({ client, print }: Context, batch: string | undefined, pages: () => AsyncIterable<JobView[]>, json: boolean): Promise<void> {
  const screen = createScreen()
  const known = new Map<string, string>()
  const look = async () => {
    if (process.stdout.isTTY && !json) {
      screen.show(print.tableLines(await tableOf(pages())))
      return false
    }
    for await (const items of pages()) {
      for (const job of items) {
        const [id, name, state, why] = toRow(job)
        const line = json ? JSON.stringify(job) : `${id}  ${name}  ${state}  ${why}`.trimEnd()
        if (known.get(job.id) === line) continue
        known.set(job.id, line)
        print.out(line)
      }
    }
    return false
  }
  await watch(client(), print, { query: { batch }, look }, new AbortController().signal)
}

function toRow(job: JobView): string[] {
  return [job.id, job.name ?? '-', job.state, job.finishedAt === null ? (job.reason ?? '') : describeEnd(job), age(job.createdAt, nowMs())]
}
