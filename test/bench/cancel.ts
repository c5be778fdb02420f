import { parseArgs } from 'node:util'
import { type Platform, startPlatform } from '../harness/platform.ts'

/**
 * `npm run bench:cancel -- [--jobs N]`: how long one call takes that cancels a batch of queued jobs (10,000), until every
 * one of them is cancelled; and beside it, in the same run, the same number of jobs cancelled one by one, reckoned from a
 * sample. The node takes none of them: the jobs ask for more CPUs than it has.
 */
const { values } = parseArgs({ options: { jobs: { type: 'string', default: '10000' } } })
const count = Number(values.jobs)
const ROUNDS = 5
const SAMPLE = 200

const platform = await startPlatform({}, true)
try {
  await measure(platform)
} finally {
  await platform.stop()
}
process.exit(0)

async function measure(platform: Platform): Promise<void> {
  const together: number[] = []
  const alone: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const batch = await submit(platform, count)
    const startedMs = performance.now()
    const answer = (await call(platform, 'POST', `/v1/batches/${batch}/cancel`)) as { cancelled: number }
    together.push(performance.now() - startedMs)
    const { counts } = (await call(platform, 'GET', `/v1/batches/${batch}`)) as { counts: Record<string, number> }
    if (answer.cancelled !== count || counts.cancelled !== count)
      throw new Error(`${answer.cancelled} were cancelled, ${counts.cancelled} are; ${count} were queued`)
    const sample = await submit(platform, SAMPLE)
    const { items } = (await call(platform, 'GET', `/v1/projects/default/jobs?batch=${sample}&limit=200`)) as { items: { id: string }[] }
    const oneMs = performance.now()
    for (const { id } of items) await call(platform, 'POST', `/v1/jobs/${id}/cancel`)
    alone.push(((performance.now() - oneMs) / items.length) * count)
  }
  const median = (times: number[]) => times.sort((a, b) => a - b)[Math.floor(times.length / 2)] as number
  console.log(`\n${count} queued jobs, ${ROUNDS} rounds`)
  console.log(`one call for the batch:  median ${(median(together) / 1000).toFixed(2)} s, slowest ${(Math.max(...together) / 1000).toFixed(2)} s`)
  console.log(`one call for each job:   median ${(median(alone) / 1000).toFixed(1)} s (from ${SAMPLE})`)
  console.log(`ratio: ${(median(alone) / median(together)).toFixed(0)}`)
}

async function submit(platform: Platform, size: number): Promise<string> {
  const template = { runtime: 'bash', command: ['true'], resources: { cpu: '64' }, files: { outputs: [] } }
  const batch = (await call(platform, 'POST', '/v1/projects/default/batches', { template, items: Array.from({ length: size }, () => ({})) })) as { id: string }
  return batch.id
}

async function call(platform: Platform, method: string, path: string, body?: unknown): Promise<unknown> {
  const answer = await platform.api(method, path, body)
  if (!answer.ok) throw new Error(`${method} ${path} answered ${answer.status}: ${await answer.text()}`)
  return answer.json()
}
