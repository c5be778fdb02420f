import type { BatchView, JobView } from '#core/api.ts'
import { isFinal } from '#core/job/state.ts'
import { jobsOf } from './batch-jobs.ts'
import type { Client } from './client.ts'
import { followJob, type Listener, type LogChoice } from './follow.ts'
import { createPool } from './parallel.ts'
import { withPrefix } from './prefixed-output.ts'
import { readLog } from './read-log.ts'

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
 * Shows the logs of all jobs of a batch as they come, line by line, until the batch has ended; those that wait are taken up as
 * they start. `changes` yields when jobs may have started, and ends when it is told to.
 */
export async function followBatchLogs(
  client: Client,
  project: string,
  batchId: string,
  output: Listener,
  options: BatchLogOptions,
  changes: (signal: AbortSignal) => AsyncIterable<void>,
  signal: AbortSignal,
): Promise<BatchView> {
  const pool = createPool(FOLLOWED_AT_ONCE)
  const taken = new Set<string>()
  const failed = new AbortController()
  const follow = async (job: JobView) => {
    const listener = withPrefix(output, options.prefix(job), options.timestamps)
    try {
      await followJob(client, job.id, listener, AbortSignal.any([signal, failed.signal]), options.choice)
      await listener.end()
    } catch (error) {
      failed.abort(error)
    }
  }
  for await (const _ of changes(AbortSignal.any([signal, failed.signal]))) {
    const batch = await client.get<BatchView>(`/v1/batches/${batchId}`)
    for (const job of await jobsOf(client, project, batchId, taken.size === 0 ? undefined : 'running,succeeded,failed,cancelled')) {
      if (taken.has(job.id) || !hasLog(job)) continue
      taken.add(job.id)
      pool.add(() => follow(job))
    }
    if (batch.finishedAt === null) continue
    await pool.idle()
    failed.signal.throwIfAborted()
    return batch
  }
  failed.signal.throwIfAborted()
  signal.throwIfAborted()
  throw new Error('the batch is not followed any more')
}

function hasLog(job: JobView): boolean {
  return job.attemptCount > 0 || (isFinal(job.state) && job.nodeId !== null)
}
