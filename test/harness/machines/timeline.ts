import type { BatchView } from '#core/api.ts'
import type { NodeView } from '#core/operator-api.ts'
import { monotonicMs, sleep } from '#core/service/time.ts'
import type { BoughtPlatform } from './bought.ts'

/** How a batch and its machines are at one moment. */
export interface Moment {
  atSeconds: number
  queued: number
  running: number
  succeeded: number
  /** How many nodes that have not ended are in each state. */
  nodes: Readonly<Record<string, number>>
  /** How many servers the provider has. */
  servers: number
}

const LOOK_MS = 250
const BUSY_TRIES = 30
/** What the columns of the timeline are. */
export const TIMELINE_HEAD = `${'t'.padStart(6)} ${'queued'.padStart(6)} ${'running'.padStart(7)} ${'done'.padStart(4)}  servers  nodes`

/** A line of the timeline. */
export function describeMoment({ atSeconds, queued, running, succeeded, nodes, servers }: Moment): string {
  const states = Object.entries(nodes)
    .sort()
    .map(([state, count]) => `${count} ${state}`)
    .join(', ')
  const columns = [`${atSeconds.toFixed(1)} s`.padStart(8), String(queued).padStart(5), String(running).padStart(7), String(succeeded).padStart(4)]
  return `${columns.join(' ')}  ${String(servers).padStart(7)}  ${states || 'none'}`
}

/** Submits a batch of so many short jobs; returns its id. */
export async function submitShortJobs(platform: BoughtPlatform, jobs: number): Promise<string> {
  const template = { runtime: 'bash', command: ['true'], files: { outputs: [] } }
  const answer = await platform.api('POST', '/v1/projects/default/batches', { template, items: Array.from({ length: jobs }, () => ({})) })
  if (answer.status !== 201) throw new Error(`the batch was refused: ${await answer.text()}`)
  return ((await answer.json()) as { id: string }).id
}

/** What a GET answers. A gateway that is too busy is asked again, as it says; anything else but 200 throws. */
export async function read<T>(platform: BoughtPlatform, path: string): Promise<T> {
  for (let tries = 1; ; tries++) {
    const answer = await platform.api('GET', path)
    if (answer.status === 200) return (await answer.json()) as T
    if (answer.status !== 503 || tries === BUSY_TRIES) throw new Error(`GET ${path}: ${answer.status} ${await answer.text()}`)
    await answer.body?.cancel()
    await sleep(1000)
  }
}

/** The nodes that have not ended. */
export async function listNodes(platform: BoughtPlatform): Promise<NodeView[]> {
  return (await read<{ items: NodeView[] }>(platform, '/v1/nodes')).items
}

/** Looks at a batch and its machines until `over` holds, telling each change; returns all moments that differed. Throws after `deadlineMs`. */
export async function watchBatch(
  platform: BoughtPlatform,
  batchId: string,
  options: { deadlineMs: number; over(moment: Moment): boolean; tell(line: string): void },
): Promise<Moment[]> {
  const beganMs = monotonicMs()
  const moments: Moment[] = []
  let told = ''
  options.tell(TIMELINE_HEAD)
  for (;;) {
    const moment = await look(platform, batchId, beganMs)
    const { atSeconds, ...seen } = moment
    if (JSON.stringify(seen) !== told) {
      told = JSON.stringify(seen)
      moments.push(moment)
      options.tell(describeMoment(moment))
    }
    if (options.over(moment)) return moments
    if (monotonicMs() - beganMs > options.deadlineMs) throw new Error(`it is not over after ${atSeconds} s:\n${moments.map(describeMoment).join('\n')}`)
    await sleep(LOOK_MS)
  }
}

async function look(platform: BoughtPlatform, batchId: string, beganMs: number): Promise<Moment> {
  const { counts } = await read<BatchView>(platform, `/v1/batches/${batchId}`)
  const nodes: Record<string, number> = {}
  for (const { state } of await listNodes(platform)) nodes[state] = (nodes[state] ?? 0) + 1
  return {
    atSeconds: (monotonicMs() - beganMs) / 1000,
    queued: counts.queued,
    running: counts.running,
    succeeded: counts.succeeded,
    nodes,
    servers: platform.standIn.world.servers.size,
  }
}
