import type { JobPage, JobView } from '#core/api.ts'
import { isFinal } from '#core/job/state.ts'
import type { Client } from './client.ts'

const PAGE_SIZE = 200

/** All jobs of a batch in these states (all states without), in its order. */
export async function jobsOf(client: Client, project: string, batchId: string, states?: string): Promise<JobView[]> {
  const query = { batch: batchId, limit: PAGE_SIZE, ...(states === undefined ? {} : { state: states }) }
  return Array.fromAsync(client.all('GET /v1/projects/:slug/jobs', { params: { slug: project }, query }))
}

function readPage(client: Client, project: string, batchId: string, cursor: string | null): Promise<JobPage> {
  const query = { batch: batchId, limit: PAGE_SIZE, ...(cursor === null ? {} : { cursor }) }
  return client.call('GET /v1/projects/:slug/jobs', { params: { slug: project }, query })
}

/**
 * Tells which jobs of a batch have ended since it was last asked. `endedCount` is how many have ended altogether: pages
 * are read only until so many are known, and never again once all their jobs have ended, so that following a batch of
 * 100,000 jobs costs a page or two each time.
 */
export function createEndedReader(client: Client, project: string, batchId: string): (endedCount: number) => Promise<JobView[]> {
  const known = new Set<string>()
  const found = new Set<string>()
  // The cursors of the pages that may still hold jobs that have not ended; null is the first page.
  let open: (string | null)[] = [null]
  return async (endedCount) => {
    const ended: JobView[] = []
    const still: (string | null)[] = []
    let next = 0
    for (; next < open.length && known.size < endedCount; next++) {
      const cursor = open[next] as string | null
      const { items, nextCursor } = await readPage(client, project, batchId, cursor)
      if (nextCursor !== null && !found.has(nextCursor)) {
        found.add(nextCursor)
        open.push(nextCursor)
      }
      for (const job of items) {
        if (!isFinal(job.state) || known.has(job.id)) continue
        known.add(job.id)
        ended.push(job)
      }
      if (!items.every((job) => isFinal(job.state))) still.push(cursor)
    }
    open = [...still, ...open.slice(next)]
    return ended
  }
}
