import type { BatchView, JobView } from '#core/api.ts'
import { jobsOf } from './batch-jobs.ts'
import type { Change } from './changes.ts'
import type { Client } from './client.ts'
import { followJob, type Listener, type LogChoice } from './follow.ts'
import { createPool } from './parallel.ts'
import { withPrefix } from './prefixed-output.ts'
import type { Printer } from './print.ts'
import { readLog } from './read-log.ts'
import { createBatchWait } from './wait/batch.ts'
import { watch } from './watch.ts'

/** How the logs of a batch are shown. */
export interface BatchLogOptions {
  choice: LogChoice
  timestamps: boolean
  /** What stands in front of each line of a job. */
  prefix(job: JobView): string
}

/** Logs that are followed at once; those of further jobs come as these end. */
const FOLLOWED_AT_ONCE = 64

/** Prints the logs of all jobs of a batch, one after the other in its order. */
export async function printBatchLogs(client: Client, project: string, batchId: string, output: Listener, options: BatchLogOptions): Promise<void> {
  for (const job of (await jobsOf(client, project, batchId)).filter(hasLog)) {
    const listener = withPrefix(output, options.prefix(job), options.timestamps)
    for await (const { chunks } of readLog(client, job.id, options.choice)) for (const chunk of chunks) await listener.chunk(chunk)
    await listener.end()
  }
}

/**
 * Shows the logs of all jobs of a batch as they come, whole lines, until the batch has ended; those that wait are taken up as
 * they start. Resolves with the batch as it ended.
 */
export async function followBatchLogs(
  client: Client,
  print: Printer,
  project: string,
  batchId: string,
  output: Listener,
  options: BatchLogOptions,
  outer: AbortSignal,
): Promise<BatchView> {
  const failed = new AbortController()
  const signal = AbortSignal.any([outer, failed.signal])
  const pool = createPool(FOLLOWED_AT_ONCE)
  const taken = new Set<string>()
  const take = (job: JobView) => {
    if (taken.has(job.id) || !hasLog(job)) return
    taken.add(job.id)
    pool.add(async () => {
      const listener = withPrefix(output, options.prefix(job), options.timestamps)
      await followJob(client, job.id, listener, signal, options.choice).catch((error: unknown) => failed.abort(error))
      await listener.end()
    })
  }
  const wait = createBatchWait(client, print, project, batchId)
  let batch: BatchView | undefined
  const look = async ({ events, look: anew }: Change) => {
    batch = await client.call('GET /v1/batches/:id', { params: { id: batchId } })
    wait.show(batch)
    if (anew || batch.finishedAt !== null) for (const job of await jobsOf(client, project, batchId)) take(job)
    else {
      const started = new Set(events.flatMap(({ data }) => data.jobId ?? []))
      for (const id of started) if (!taken.has(id)) take(await client.call('GET /v1/jobs/:id', { params: { id } }))
    }
    return batch.finishedAt !== null
  }
  await watch(client, print, { query: { batch: batchId, types: ['job.started', 'batch.completed'] }, look }, signal).finally(() => wait.end())
  await pool.idle()
  signal.throwIfAborted()
  return batch as BatchView
}

function hasLog(job: JobView): boolean {
  return job.attemptCount > 0
}
