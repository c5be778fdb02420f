import type { LogBatch, LogChunk } from '#core/api.ts'
import { exitStatus } from '#core/job/outcome.ts'
import { type Command, type Context, text } from '../command.ts'
import { parseCount } from '../duration.ts'
import { followJob, type Listener } from '../follow.ts'
import { sayFailure } from '../follow-job.ts'
import { onlyArgument } from '../parse.ts'
import { createOutput } from '../stream-output.ts'

const DEADLINE_MS = 600_000

/** `rgrid logs`. */
export const logsCommand: Command = {
  name: 'logs',
  usage: 'JOB',
  summary: 'Prints the log of a job: its stdout to stdout, its stderr to stderr.',
  options: {
    follow: { type: 'boolean', short: 'f', help: 'go on until the job ends; the exit code is then the job’s' },
    attempt: { type: 'string', value: 'N', help: 'the log of this attempt (the latest; with -f from this one on, the first)' },
    json: { type: 'boolean', help: 'print the log as JSON, one a line: pieces {stream, at, text or base64}' },
  },
  async run(context, options, args) {
    const id = onlyArgument(args, 'job')
    const attempt = text(options, 'attempt')
    const number = attempt === undefined ? undefined : parseCount('attempt', attempt, 1, 1_000_000)
    const output = createOutput(context.print)
    const listener = options.json === true ? { ...output, chunk: async (chunk: LogChunk) => context.print.json(chunk) } : output
    if (options.follow === true) return follow(context, id, listener, number)
    await printWhole(context, id, listener, number)
    return 0
  },
}

async function follow({ client, print }: Context, id: string, listener: Listener, attempt: number | undefined): Promise<number> {
  const stop = new AbortController()
  process.once('SIGINT', () => stop.abort())
  try {
    const end = await followJob(client(), encodeURIComponent(id), listener, stop.signal, attempt)
    sayFailure(print, id, end)
    return exitStatus(end)
  } catch (error) {
    if (stop.signal.aborted) return 130
    throw error
  }
}

async function printWhole({ client }: Context, id: string, listener: Listener, attempt: number | undefined): Promise<void> {
  const path = `/v1/jobs/${encodeURIComponent(id)}/logs?format=ndjson${attempt === undefined ? '' : `&attempt=${attempt}`}`
  const response = await client().stream(path, {}, AbortSignal.timeout(DEADLINE_MS))
  let rest = ''
  for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    const lines = (rest + piece).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) for (const chunk of (JSON.parse(line) as LogBatch).chunks) await listener.chunk(chunk)
  }
}
