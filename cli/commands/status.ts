import type { AttemptView, BatchView, JobDetail } from '#core/api.ts'
import { nowMs } from '#core/service/time.ts'
import type { Command, Context } from '../command.ts'
import { describeEnd } from '../describe.ts'
import { onlyArgument } from '../parse.ts'
import { age } from '../print.ts'

/** `rgrid status`. */
export const statusCommand: Command = {
  name: 'status',
  usage: 'JOB|BATCH',
  summary: 'Shows where a job or batch is, and why.',
  options: { json: { type: 'boolean', help: 'print JSON' } },
  async run({ client, print }, options, args) {
    const id = onlyArgument(args, 'job or batch')
    const isBatch = id.startsWith('batch_')
    const found = await client().get<BatchView | JobDetail>(`/v1/${isBatch ? 'batches' : 'jobs'}/${encodeURIComponent(id)}`)
    if (options.json === true) print.json(found)
    else if ('counts' in found) showBatch(print, found)
    else showJob(print, found)
    return 0
  },
}

function showBatch(print: Context['print'], batch: BatchView): void {
  print.table([
    ['BATCH', 'NAME', 'JOBS', 'PARALLEL', ...Object.keys(batch.counts).map((state) => state.toUpperCase()), 'AGE'],
    [batch.id, batch.name ?? '-', String(batch.size), String(batch.parallel ?? '-'), ...Object.values(batch.counts).map(String), age(batch.createdAt, nowMs())],
  ])
}

function showJob(print: Context['print'], job: JobDetail): void {
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
  print.table([['job', job.id], ...fields.filter((field): field is [string, string] => field[1] !== null && field[1] !== '')])
  if (job.attempts.length > 0) {
    print.out('')
    print.table([
      ['ATTEMPT', 'STATE', 'HOW', 'NODE', 'STARTED', 'ENDED'],
      ...job.attempts.map((attempt) => [
        String(attempt.number),
        attempt.state,
        attempt.cause === null ? '' : describeEnd(attempt) + describeLate(attempt.lateResult),
        attempt.nodeId,
        attempt.startedAt ?? '-',
        attempt.finishedAt ?? '-',
      ]),
    ])
  }
  for (const warning of job.warnings) print.say(print.colour('yellow', `warning: ${warning}`))
}

/** What the node of a lost attempt said too late; it changed nothing. */
function describeLate(late: AttemptView['lateResult']): string {
  return late === null ? '' : ` (its node said later: ${describeEnd({ ...late, cause: late.cause as AttemptView['cause'], message: null })})`
}
