import type { BatchView, JobView } from '#core/api.ts'
import { monotonicMs } from '#core/service/time.ts'
import { createEndedReader, jobsOf } from './batch-jobs.ts'
import type { Client } from './client.ts'
import { describeEnd } from './describe.ts'
import { fetchOutputs } from './download.ts'
import { listenForInterrupt } from './interrupt.ts'
import { createPool } from './parallel.ts'
import type { Printer } from './print.ts'
import { createProgress, endedCount } from './progress.ts'
import { createBatchWait } from './wait/batch.ts'
import { watch } from './watch.ts'

/** What is done while a batch goes on. */
export interface BatchOptions {
  /** Where the outputs of each job go, by its index; undefined leaves them there. */
  folders: readonly string[] | undefined
  flat: boolean
  /** Each job that has ended is a line of JSON on stdout. */
  json: boolean
  /** The first Ctrl-C cancels instead of detaching. */
  cancelFirst: boolean
}

const DOWNLOADS_AT_ONCE = 4

/** Shows a batch until it ends, brings outputs as each job ends, sums it up. Resolves with the exit code of `rgrid`. */
export async function followBatch(client: Client, print: Printer, project: string, batch: BatchView, options: BatchOptions): Promise<number> {
  const startMs = monotonicMs()
  const progress = createProgress(print, () => monotonicMs() - startMs)
  const interrupt = listenForInterrupt(print, {
    id: batch.id,
    comeBack: `Come back: rgrid status ${batch.id}   outputs: rgrid download ${batch.id}   end it: rgrid cancel ${batch.id}`,
    cancelFirst: options.cancelFirst,
    cancel: () => client.call('POST /v1/batches/:id/cancel', { params: { id: batch.id } }),
  })
  const readEnded = createEndedReader(client, project, batch.id)
  const outputs = createOutputs(client, options)
  const wait = createBatchWait(client, print, project, batch.id)
  let last: BatchView | undefined
  try {
    await watch(client, print, { query: { batch: batch.id }, look }, interrupt.signal).finally(() => wait.end())
    await outputs.idle()
    progress.end()
    return await summarise(client, print, project, last ?? batch, outputs.faults)
  } catch (error) {
    progress.end()
    if (!interrupt.signal.aborted) throw error
    await interrupt.left()
    return 130
  } finally {
    interrupt.dispose()
  }

  async function look(): Promise<boolean> {
    last = await client.call('GET /v1/batches/:id', { params: { id: batch.id } })
    progress.show(last)
    wait.show(last)
    for (const job of await readEnded(endedCount(last))) {
      if (options.json) print.json(job)
      if (job.state !== 'cancelled') outputs.fetch(job)
    }
    return last.finishedAt !== null
  }
}

/** Brings outputs beside the rest; what fails for one job is kept for the end, and stops nothing. */
function createOutputs(client: Client, options: BatchOptions) {
  const pool = createPool(DOWNLOADS_AT_ONCE)
  const faults: string[] = []
  return {
    faults,
    idle: () => pool.idle(),
    fetch(job: JobView) {
      const folder = options.folders?.[job.batchIndex ?? -1]
      if (folder === undefined) return
      pool.add(async () => {
        await fetchOutputs(client, job.id, folder, options.flat).catch((error: Error) => faults.push(`${job.id}: ${error.message}`))
      })
    },
  }
}

async function summarise(client: Client, print: Printer, project: string, batch: BatchView, faults: readonly string[]): Promise<number> {
  const { succeeded, failed, cancelled } = batch.counts
  print.say(`${batch.id}: ${succeeded} succeeded, ${failed} failed${cancelled > 0 ? `, ${cancelled} cancelled` : ''}`)
  const bad = failed > 0 ? await jobsOf(client, project, batch.id, 'failed') : []
  for (const line of groupFailures(bad)) print.say(print.colour('red', line))
  if (faults.length > 0) {
    print.say(print.colour('red', `  the outputs of ${faults.length} jobs did not come: ${faults[0]}`))
    print.say(`  bring them: rgrid download ${batch.id}`)
  }
  return succeeded === batch.size && faults.length === 0 ? 0 : 1
}

/** `3 × exit code 1, such as n5: rgrid logs job_…`: failures that ended alike, the most frequent first. */
export function groupFailures(jobs: readonly JobView[]): string[] {
  const groups = [...Map.groupBy(jobs, describeEnd)].sort(([, a], [, b]) => b.length - a.length)
  return groups.map(
    ([what, [first, ...rest]]) => `  ${rest.length + 1} × ${what}, such as ${first?.name ?? `item ${first?.batchIndex}`}: rgrid logs ${first?.id}`,
  )
}
