import type { JobPage, JobView } from '#core/api.ts'
import { isFinal } from '#core/job/state.ts'
import type { Client } from './client.ts'

const PAGE_SIZE = 200

/** All jobs of a batch in these states (all states without), in its order. */
export async function jobsOf(client: Client, project: string, batchId: string, states?: string): Promise<JobView[]> {
  const jobs: JobView[] = []
  let cursor: string | null = null
  do {
    const page: JobPage = await readPage(client, project, batchId, cursor, states)
    jobs.push(...page.items)
    cursor = page.nextCursor
  } while (cursor !== null)
  return jobs
}

function readPage(client: Client, project: string, batchId: string, cursor: string | null, states?: string): Promise<JobPage> {
  const query = new URLSearchParams({ batch: batchId, limit: String(PAGE_SIZE) })
  if (states !== undefined) query.set('state', states)
  if (cursor !== null) query.set('cursor', cursor)
  return client.get<JobPage>(`/v1/projects/${encodeURIComponent(project)}/jobs?${query}`)
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
