import { mkdir } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import type { ArtifactView } from '#core/api.ts'
import { exitStatus } from '#core/job/outcome.ts'
import { formatBytes } from '#core/job/quantity.ts'
import { type Command, text } from '../command.ts'
import { parseCount } from '../duration.ts'
import { followJob } from '../follow.ts'
import { createOutput } from '../stream-output.ts'
import { inParallel } from '../transfer.ts'
import { onlyArgument } from './jobs.ts'
import { fetchOutputs } from './run.ts'
import { jobsOf } from './run-batch.ts'

/** `rgrid logs`. */
export const logsCommand: Command = {
  name: 'logs',
  usage: 'JOB',
  summary: 'Prints the log of a job: its stdout to stdout, its stderr to stderr.',
  options: {
    follow: { type: 'boolean', short: 'f', help: 'go on until the job ends; the exit code is then the job’s' },
    attempt: { type: 'string', value: 'N', help: 'the log of this attempt (the latest)' },
    json: { type: 'boolean', help: 'print the log messages as JSON, one a line' },
  },
  async run({ client, print }, options, args) {
    const id = encodeURIComponent(onlyArgument(args, 'job'))
    const attempt = text(options, 'attempt')
    const number = attempt === undefined ? undefined : parseCount('attempt', attempt, 1, 1_000_000)
    if (options.follow === true) {
      const stop = new AbortController()
      process.once('SIGINT', () => stop.abort())
      const output = createOutput(print)
      const listener = options.json === true ? { ...output, chunk: async (chunk: unknown) => print.json(chunk) } : output
      const end = await followJob(client(), id, listener, stop.signal, number).catch((error: unknown) => {
        if (stop.signal.aborted) return undefined
        throw error
      })
      return end ? exitStatus(end) : 130
    }
    const response = await client().stream(
      `/v1/jobs/${id}/logs?format=ndjson${number === undefined ? '' : `&attempt=${number}`}`,
      {},
      AbortSignal.timeout(600_000),
    )
    const output = createOutput(print)
    let rest = ''
    for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      const lines = (rest + piece).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) {
        if (options.json === true) print.out(line)
        else for (const chunk of JSON.parse(line).chunks) await output.chunk(chunk)
      }
    }
    return 0
  },
}

/** `rgrid outputs`. */
export const outputsCommand: Command = {
  name: 'outputs',
  usage: 'JOB',
  summary: 'Lists the outputs of a job.',
  options: { json: { type: 'boolean', help: 'print JSON, a line an output' } },
  async run({ client, print }, options, args) {
    const { items } = await client().get<{ items: ArtifactView[] }>(`/v1/jobs/${encodeURIComponent(onlyArgument(args, 'job'))}/artifacts`)
    if (options.json === true) for (const item of items) print.json(item)
    else print.table([['PATH', 'SIZE', 'SHA-256', 'ID'], ...items.map((item) => [item.path, formatBytes(item.sizeBytes), item.sha256.slice(0, 16), item.id])])
    return 0
  },
}

/** `rgrid download`. */
export const downloadCommand: Command = {
  name: 'download',
  usage: 'JOB|BATCH',
  summary: 'Brings the outputs of a job into this folder, or those of a batch into ./outputs/<item>/.',
  options: { 'output-dir': { type: 'string', value: 'DIR', help: 'another folder' }, flat: { type: 'boolean', help: 'without their folders' } },
  async run({ client, print, at, defaults }, options, args) {
    const id = onlyArgument(args, 'job or batch')
    const flat = options.flat === true
    if (!id.startsWith('batch_')) {
      const count = await fetchOutputs(client(), encodeURIComponent(id), resolve(at.cwd, text(options, 'output-dir') ?? '.'), flat)
      print.say(`${count} outputs`)
      return 0
    }
    const jobs = await jobsOf(client(), defaults.project ?? (await client().project()), id, undefined)
    const folder = resolve(at.cwd, text(options, 'output-dir') ?? 'outputs')
    await mkdir(folder, { recursive: true })
    const counts = await inParallel(jobs, 4, (job) => fetchOutputs(client(), job.id, join(folder, job.name ?? String(job.batchIndex)), flat))
    print.say(`${counts.reduce((sum, count) => sum + count, 0)} outputs of ${jobs.length} jobs`)
    return 0
  },
}
