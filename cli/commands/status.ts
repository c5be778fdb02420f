import type { AttemptView, BatchView, JobDetail } from '#core/api.ts'
import { nowMs } from '#core/service/time.ts'
import type { Command, Context } from '../command.ts'
import { describeEnd } from '../describe.ts'
import { onlyArgument } from '../parse.ts'
import { age, presentFields } from '../print.ts'
import { countsText } from '../progress.ts'
import { createScreen } from '../screen.ts'
import { onChange, watch } from '../watch.ts'

/** `rgrid status`. */
export const statusCommand: Command = {
  name: 'status',
  usage: 'JOB|BATCH',
  summary: 'Shows where a job or batch is, and why.',
  options: {
    watch: { type: 'boolean', short: 'w', help: 'show it anew whenever it changes, until it has ended; in a pipe a line a change' },
    json: { type: 'boolean', help: 'print JSON' },
  },
  async run(context, options, args) {
    const id = onlyArgument(args, 'job or batch')
    const read = () => context.client().call(isBatch(id) ? 'GET /v1/batches/:id' : 'GET /v1/jobs/:id', { params: { id } })
    if (options.watch === true) await watchStatus(context, id, read, options.json === true)
    else if (options.json === true) context.print.json(await read())
    else for (const line of linesOf(context.print, await read())) context.print.out(line)
    return 0
  },
}

function isBatch(id: string): boolean {
  return id.startsWith('batch_')
}

async function watchStatus({ client, print }: Context, id: string, read: () => Promise<BatchView | JobDetail>, json: boolean): Promise<void> {
  const screen = createScreen()
  const changed = onChange()
  const look = async () => {
    const found = await read()
    const lines = json ? [JSON.stringify(found)] : process.stdout.isTTY ? linesOf(print, found) : [lineOf(found)]
    if (changed(json ? lines.join() : lineOf(found))) json ? print.out(lines.join()) : screen.show(lines, found.finishedAt !== null)
    return found.finishedAt !== null
  }
  await watch(client(), print, { query: isBatch(id) ? { batch: id } : { job: id }, look }, new AbortController().signal)
}

/** The state in one line. */
function lineOf(found: BatchView | JobDetail): string {
  if ('counts' in found) return `${found.id}  ${countsText(found)}`
  const why = found.finishedAt === null ? (found.reason ?? '') : describeEnd(found)
  return `${found.id}  ${found.state}  ${why}`.trimEnd()
}

function linesOf(print: Context['print'], found: BatchView | JobDetail): string[] {
  return 'counts' in found ? batchLines(print, found) : jobLines(print, found)
}

function batchLines(print: Context['print'], batch: BatchView): string[] {
  return print.tableLines([
    ['BATCH', 'NAME', 'JOBS', 'PARALLEL', ...Object.keys(batch.counts).map((state) => state.toUpperCase()), 'AGE'],
    [batch.id, batch.name ?? '-', String(batch.size), String(batch.parallel ?? '-'), ...Object.values(batch.counts).map(String), age(batch.createdAt, nowMs())],
  ])
}

function jobLines(print: Context['print'], job: JobDetail): string[] {
  const labels = Object.entries(job.labels).map(([key, value]) => `${key}=${value}`)
  const fields: [string, string | null][] = [
    ['name', job.name],
    ['state', job.state],
    ['why', job.finishedAt === null ? job.reason : describeEnd(job)],
    ['batch', job.batchId === null ? null : `${job.batchId}, item ${job.batchIndex}`],
    ['runtime', job.runtime],
    ['image', job.image],
    ['labels', labels.length === 0 ? null : labels.join(' ')],
    ['created', job.createdAt],
    ['started', job.startedAt],
    ['ended', job.finishedAt],
  ]
  const lines = print.tableLines([['job', job.id], ...presentFields(fields)])
  if (job.attempts.length > 0) lines.push('', ...print.tableLines([['ATTEMPT', 'STATE', 'HOW', 'NODE', 'STARTED', 'ENDED'], ...job.attempts.map(attemptRow)]))
  return [...lines, ...job.warnings.map((warning) => print.colour('yellow', `warning: ${warning}`))]
}

function attemptRow(attempt: AttemptView): string[] {
  const how = attempt.cause === null ? '' : describeEnd(attempt) + describeLate(attempt.lateResult)
  return [String(attempt.number), attempt.state, how, attempt.nodeId, attempt.startedAt ?? '-', attempt.finishedAt ?? '-']
}

/** What the node of a lost attempt said too late; it changed nothing. */
function describeLate(late: AttemptView['lateResult']): string {
  return late === null ? '' : ` (its node said later: ${describeEnd({ ...late, cause: late.cause as AttemptView['cause'], message: null })})`
}
