import { sleep } from '#core/service/time.ts'
import type { Client } from './client.ts'
import { type PlannedJob, planBatch } from './jobs.ts'

/** What was asked of the platform: each job's id with its plan, and when a cancel was accepted. */
export interface Ledger {
  jobs: Map<string, PlannedJob>
  /** Milliseconds since 1970. */
  cancelAcceptedAtMs: Map<string, number>
  batchId: string
  batchJobIds: string[]
}

/** Submits everything at its time, and cancels what is to be cancelled; resolves when all of it was accepted. */
export async function submitAll(client: Client, jobs: readonly PlannedJob[], batch: { size: number; parallel: number }): Promise<Ledger> {
  const startedMs = performance.now()
  const ledger: Ledger = { jobs: new Map(), cancelAcceptedAtMs: new Map(), batchId: '', batchJobIds: [] }
  const cancels: Promise<void>[] = []
  // Before anything is disturbed, as a batch has no name to find it again by.
  const answer = (await (await client.post('/v1/projects/default/batches', planBatch(batch.size, batch.parallel))).json()) as { id: string }
  ledger.batchId = answer.id
  ledger.batchJobIds = await jobsOfBatch(client, answer.id)
  for (const job of [...jobs].sort((a, b) => a.atMs - b.atMs)) {
    await sleep(Math.max(0, job.atMs - (performance.now() - startedMs)))
    const id = await client.submitOnce(job.name, { metadata: { name: job.name }, spec: job.spec })
    ledger.jobs.set(id, job)
    if (job.cancelAfterMs !== null) cancels.push(cancelLater(client, ledger, id, job.cancelAfterMs))
  }
  await Promise.all(cancels)
  return ledger
}

async function cancelLater(client: Client, ledger: Ledger, id: string, afterMs: number): Promise<void> {
  await sleep(afterMs)
  const response = await client.post(`/v1/jobs/${id}/cancel`)
  if (response.ok) ledger.cancelAcceptedAtMs.set(id, Date.now())
}

async function jobsOfBatch(client: Client, batchId: string): Promise<string[]> {
  const ids: string[] = []
  for (let cursor: string | null = ''; cursor !== null; ) {
    const page = (await (await client.get(`/v1/projects/default/jobs?batch=${batchId}&limit=200${cursor === '' ? '' : `&cursor=${cursor}`}`)).json()) as {
      items: { id: string }[]
      nextCursor: string | null
    }
    ids.push(...page.items.map((job) => job.id))
    cursor = page.nextCursor
  }
  return ids
}
