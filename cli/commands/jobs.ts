import { readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { parse } from 'yaml'
import type { BatchView, CancelResult, JobDetail, JobPage, JobView } from '#core/api.ts'
import { nowMs } from '#core/service/time.ts'
import { type Command, list, text } from '../command.ts'
import { parseCount } from '../duration.ts'
import { age } from '../print.ts'
import { UsageError } from '../usage-error.ts'
import { describeEnd } from './run.ts'

/** The one argument a command needs. Throws a UsageError. */
export function onlyArgument(args: readonly string[], what: string): string {
  const [first, ...more] = args
  if (first === undefined || more.length > 0) throw new UsageError(`name one ${what}`)
  return first
}

const json = { type: 'boolean' as const, help: 'print JSON' }

/** `rgrid submit`. */
export const submitCommand: Command = {
  name: 'submit',
  usage: 'FILE',
  summary: 'Submits a Job or Batch document (YAML or JSON; - reads it from standard input) and prints its id.',
  options: { json },
  async run({ client, print, at, defaults }, options, args) {
    const file = onlyArgument(args, 'file')
    const document = readDocument(file === '-' ? 0 : resolve(at.cwd, file), file) as { kind?: string; items?: unknown; metadata?: { project?: string } } | null
    const kind = document?.kind === 'Batch' || document?.items !== undefined ? 'batches' : 'jobs'
    const project = document?.metadata?.project ?? defaults.project ?? (await client().project())
    const made = await client().post<{ id: string }>(`/v1/projects/${encodeURIComponent(project)}/${kind}`, document)
    if (options.json === true) print.json(made)
    else print.out(made.id)
    return 0
  },
}

function readDocument(path: number | string, name: string): unknown {
  let source: string
  try {
    source = readFileSync(path, 'utf8')
  } catch (error) {
    throw new UsageError(`${name} cannot be read: ${(error as Error).message}`)
  }
  try {
    return parse(source)
  } catch (error) {
    throw new UsageError(`${name} is no YAML or JSON: ${(error as Error).message}`)
  }
}

/** `rgrid status`. */
export const statusCommand: Command = {
  name: 'status',
  usage: 'JOB|BATCH',
  summary: 'Shows where a job or batch is, and why.',
  options: { json },
  async run({ client, print }, options, args) {
    const id = onlyArgument(args, 'job or batch')
    if (id.startsWith('batch_')) {
      const batch = await client().get<BatchView>(`/v1/batches/${id}`)
      if (options.json === true) print.json(batch)
      else
        print.table([
          ['BATCH', 'JOBS', 'PARALLEL', ...Object.keys(batch.counts).map((state) => state.toUpperCase()), 'AGE'],
          [batch.id, String(batch.size), String(batch.parallel ?? '-'), ...Object.values(batch.counts).map(String), age(batch.createdAt, nowMs())],
        ])
      return 0
    }
    const job = await client().get<JobDetail>(`/v1/jobs/${encodeURIComponent(id)}`)
    if (options.json === true) {
      print.json(job)
      return 0
    }
    const how = job.finishedAt === null ? (job.reason ?? '') : describeEnd(job)
    print.table([
      ['JOB', 'STATE', 'WHY', 'IMAGE', 'AGE'],
      [job.id, job.state, how, job.image, age(job.createdAt, nowMs())],
    ])
    if (job.attempts.length > 0) {
      print.out('')
      print.table([
        ['ATTEMPT', 'STATE', 'HOW', 'NODE', 'STARTED', 'ENDED'],
        ...job.attempts.map((attempt) => [
          String(attempt.number),
          attempt.state,
          attempt.cause === null ? '' : describeEnd(attempt),
          attempt.nodeId,
          attempt.startedAt ?? '-',
          attempt.finishedAt ?? '-',
        ]),
      ])
    }
    for (const warning of job.warnings) print.say(print.colour('yellow', `warning: ${warning}`))
    return 0
  },
}

/** `rgrid list`. */
export const listCommand: Command = {
  name: 'list',
  usage: '',
  summary: 'Lists jobs, newest first.',
  options: {
    state: { type: 'string', help: 'only these states, separated by commas' },
    batch: { type: 'string', value: 'ID', help: 'only jobs of this batch' },
    name: { type: 'string', help: 'only jobs of this name' },
    label: { type: 'string', value: 'K=V', multiple: true, help: 'only jobs with this label; repeatable' },
    limit: { type: 'string', value: 'N', help: 'so many (50)' },
    json: { type: 'boolean', help: 'print JSON, a line a job' },
  },
  async run({ client, print, defaults }, options) {
    const project = defaults.project ?? (await client().project())
    const query = new URLSearchParams()
    for (const name of ['state', 'batch', 'name']) if (text(options, name) !== undefined) query.set(name, text(options, name) as string)
    for (const label of list(options, 'label')) query.append('label', label)
    const limit = parseCount('limit', text(options, 'limit') ?? '50', 1, 100_000)
    const jobs: JobView[] = []
    while (jobs.length < limit) {
      query.set('limit', String(Math.min(200, limit - jobs.length)))
      const page = await client().get<JobPage>(`/v1/projects/${project}/jobs?${query}`)
      jobs.push(...page.items)
      if (page.nextCursor === null) break
      query.set('cursor', page.nextCursor)
    }
    if (options.json === true) for (const job of jobs) print.json(job)
    else
      print.table([
        ['JOB', 'NAME', 'STATE', 'WHY', 'AGE'],
        ...jobs.map((job) => [
          job.id,
          job.name ?? '-',
          job.state,
          job.finishedAt === null ? (job.reason ?? '') : describeEnd(job),
          age(job.createdAt, nowMs()),
        ]),
      ])
    return 0
  },
}

/** `rgrid cancel`. */
export const cancelCommand: Command = {
  name: 'cancel',
  usage: 'JOB|BATCH',
  summary: 'Cancels a job, or every job of a batch.',
  options: { json },
  async run({ client, print }, options, args) {
    const id = onlyArgument(args, 'job or batch')
    const kind = id.startsWith('batch_') ? 'batches' : 'jobs'
    const result = await client().post<CancelResult>(`/v1/${kind}/${encodeURIComponent(id)}/cancel`)
    if (options.json === true) print.json(result)
    else print.out(`${result.cancelled} cancelled, ${result.requested} running told to stop`)
    return 0
  },
}
