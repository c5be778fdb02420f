import type { JobView, LogChunk } from '#core/api.ts'
import { exitStatus } from '#core/job/outcome.ts'
import { followBatchLogs, printBatchLogs } from '../batch-logs.ts'
import { type Command, type Context, type OptionValues, text } from '../command.ts'
import { parseCount, parseTime } from '../duration.ts'
import type { Listener, LogChoice } from '../follow.ts'
import { sayFailure } from '../follow-job.ts'
import { onlyArgument } from '../parse.ts'
import { countsText } from '../progress.ts'
import { readLog } from '../read-log.ts'
import { searchLogs } from '../search-logs.ts'
import { createOutput } from '../stream-output.ts'
import { withTimestamps } from '../timestamps.ts'
import { UsageError } from '../usage-error.ts'
import { type Followed, followSayingWhy } from '../wait/job.ts'

/** `rgrid logs`. */
export const logsCommand: Command = {
  name: 'logs',
  usage: 'JOB | --batch BATCH | --grep TEXT',
  summary: 'Prints the log of a job, or of all jobs of a batch: stdout to stdout, stderr to stderr.',
  options: {
    follow: { type: 'boolean', short: 'f', help: 'go on until the job ends; the exit code is then the job’s' },
    tail: { type: 'string', value: 'N', help: 'of what is there, only the last N lines' },
    since: { type: 'string', value: 'TIME', help: 'only what was written since: 10m, 2h, or 2026-11-23T10:00:00Z' },
    timestamps: { type: 'boolean', short: 't', help: 'the time in front of each line' },
    batch: { type: 'string', value: 'BATCH', help: 'the logs of all its jobs, each line with the name of its job in front; with -f as they come' },
    grep: {
      type: 'string',
      value: 'TEXT',
      help: 'search: the lines of archived logs that hold this, of the last 24 hours, --since, or --batch; 1 when there are none',
    },
    'ignore-case': { type: 'boolean', short: 'i', help: 'with --grep: capitals do not matter' },
    until: { type: 'string', value: 'TIME', help: 'with --grep: of jobs that started before' },
    attempt: { type: 'string', value: 'N', help: 'the log of this attempt (the latest; with -f from this one on, the first)' },
    json: { type: 'boolean', help: 'print the log as JSON, one a line: pieces {stream, at, text or base64}' },
  },
  async run(context, options, args) {
    if (options.grep !== undefined) return search(context, options, args)
    for (const name of ['ignore-case', 'until']) if (options[name] !== undefined) throw new UsageError(`--${name} goes with --grep`)
    const batchId = text(options, 'batch')
    if (batchId !== undefined) return batchLogs(context, batchId, options, args)
    const id = onlyArgument(args, 'job')
    const choice = choiceOf(options)
    const listener = listenerOf(context, options)
    if (options.follow === true)
      return untilInterrupted((signal) => follow(context, { jobId: id, choice, showsReason: options.json !== true }, listener, signal))
    for await (const { chunks } of readLog(context.client(), id, choice)) for (const chunk of chunks) await listener.chunk(chunk)
    return 0
  },
}

async function search(context: Context, options: OptionValues, args: readonly string[]): Promise<number> {
  if (args.length > 0) throw new UsageError('--grep looks through many logs; of one job: rgrid logs JOB | grep TEXT')
  for (const name of ['follow', 'tail', 'timestamps', 'attempt']) if (options[name] !== undefined) throw new UsageError(`--${name} does not go with --grep`)
  const time = (name: string) => {
    const value = text(options, name)
    return value === undefined ? undefined : parseTime(name, value)
  }
  const client = context.client()
  return searchLogs(client, context.print, context.defaults.project ?? (await client.project()), {
    query: text(options, 'grep') as string,
    ignoreCase: options['ignore-case'] === true,
    batch: text(options, 'batch'),
    since: time('since'),
    until: time('until'),
    json: options.json === true,
  })
}

async function batchLogs(context: Context, batchId: string, options: OptionValues, args: readonly string[]): Promise<number> {
  if (args.length > 0) throw new UsageError('name a job or --batch BATCH, not both')
  for (const name of ['json', 'attempt']) if (options[name] !== undefined) throw new UsageError(`--${name} is for the log of one job, not for --batch`)
  const { print, defaults } = context
  const client = context.client()
  const project = defaults.project ?? (await client.project())
  const how = {
    choice: choiceOf(options),
    timestamps: options.timestamps === true,
    prefix: (job: JobView) => `${print.colour('cyan', job.name ?? `item ${job.batchIndex}`)} | `,
  }
  const output = createOutput(print)
  if (options.follow !== true) {
    await printBatchLogs(client, project, batchId, output, how)
    return 0
  }
  return untilInterrupted(async (signal) => {
    const batch = await followBatchLogs(client, print, project, batchId, output, how, signal)
    print.say(`${batchId}: ${countsText(batch)}`)
    return batch.counts.succeeded === batch.size ? 0 : 1
  })
}

function choiceOf(options: OptionValues): LogChoice {
  const count = (name: string, min: number, max: number) => {
    const value = text(options, name)
    return value === undefined ? undefined : parseCount(name, value, min, max)
  }
  const since = text(options, 'since')
  return {
    attempt: count('attempt', 1, 1_000_000),
    tail: count('tail', 0, 100_000),
    since: since === undefined ? undefined : parseTime('since', since),
  }
}

function listenerOf({ print }: Context, options: OptionValues): Listener {
  const output = createOutput(print)
  if (options.json === true) return { ...output, status: () => undefined, chunk: async (chunk: LogChunk) => print.json(chunk) }
  return options.timestamps === true ? withTimestamps(output) : output
}

async function follow({ client, print }: Context, followed: Followed, listener: Listener, signal: AbortSignal): Promise<number> {
  const end = await followSayingWhy(client(), print, followed, listener, signal).finally(() => print.progress(''))
  sayFailure(print, followed.jobId, end)
  return exitStatus(end)
}

/** Ctrl-C ends the following, and nothing else. */
async function untilInterrupted(work: (signal: AbortSignal) => Promise<number>): Promise<number> {
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort())
  return work(stop.signal).catch((error: unknown) => {
    if (stop.signal.aborted) return 130
    throw error
  })
}
