import type { LogChunk } from '#core/api.ts'
import { exitStatus } from '#core/job/outcome.ts'
import { type Command, type Context, type OptionValues, text } from '../command.ts'
import { parseCount, parseTime } from '../duration.ts'
import { followJob, type Listener, type LogChoice } from '../follow.ts'
import { sayFailure } from '../follow-job.ts'
import { onlyArgument } from '../parse.ts'
import { readLog } from '../read-log.ts'
import { createOutput } from '../stream-output.ts'
import { withTimestamps } from '../timestamps.ts'

/** `rgrid logs`. */
export const logsCommand: Command = {
  name: 'logs',
  usage: 'JOB',
  summary: 'Prints the log of a job: its stdout to stdout, its stderr to stderr.',
  options: {
    follow: { type: 'boolean', short: 'f', help: 'go on until the job ends; the exit code is then the job’s' },
    tail: { type: 'string', value: 'N', help: 'of what is there, only the last N lines' },
    since: { type: 'string', value: 'TIME', help: 'only what was written since: 10m, 2h, or 2026-11-23T10:00:00Z' },
    timestamps: { type: 'boolean', short: 't', help: 'the time in front of each line' },
    attempt: { type: 'string', value: 'N', help: 'the log of this attempt (the latest; with -f from this one on, the first)' },
    json: { type: 'boolean', help: 'print the log as JSON, one a line: pieces {stream, at, text or base64}' },
  },
  async run(context, options, args) {
    const id = onlyArgument(args, 'job')
    const choice = choiceOf(options)
    const listener = listenerOf(context, options)
    if (options.follow === true) return follow(context, id, listener, choice)
    for await (const { chunks } of readLog(context.client(), id, choice)) for (const chunk of chunks) await listener.chunk(chunk)
    return 0
  },
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
  if (options.json === true) return { ...output, chunk: async (chunk: LogChunk) => print.json(chunk) }
  return options.timestamps === true ? withTimestamps(output) : output
}

async function follow({ client, print }: Context, id: string, listener: Listener, choice: LogChoice): Promise<number> {
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort())
  try {
    const end = await followJob(client(), id, listener, stop.signal, choice)
    sayFailure(print, id, end)
    return exitStatus(end)
  } catch (error) {
    if (stop.signal.aborted) return 130
    throw error
  }
}
