import { execFileSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import Docker from 'dockerode'
import { type Platform, startPlatform } from '../harness/platform.ts'

/**
 * `npm run bench:dispatch -- [--jobs N]`: with the fallback poll and the sweep at 30 s, so that only a wake-up can be
 * what dispatches: the time from sending a submit to the container's creation (Docker's own event), and what a whole
 * job takes over a bare `docker run` of the same command in the same image, taken in turns in the same run.
 */
const { values } = parseArgs({ options: { jobs: { type: 'string', default: '60' } } })
const count = Number(values.jobs)
const IDLE_MS = 150
/** Rounds that are not counted: they warm caches and connections. */
const WARM_UP = 5

const platform = await startPlatform({ RGRID_CLAIM_POLL_SECONDS: '30', RGRID_SWEEP_SECONDS: '30' }, true)
try {
  await measure(platform)
} finally {
  await platform.stop()
}
process.exit(0)

async function measure(platform: Platform): Promise<void> {
  const docker = new Docker()
  const image = await imageOf(platform)
  const created = await watchCreates(docker)
  const dispatchMs: number[] = []
  const jobMs: number[] = []
  const bareMs: number[] = []
  for (let i = -WARM_UP; i < count; i++) {
    // One job that nobody watches, for the dispatch alone; one that is followed as rgrid does; the bare command.
    const submittedMs = Date.now()
    const unwatched = await submit(platform)
    const dispatch = (await created.when(unwatched)) - submittedMs
    await ended(platform, unwatched)
    await pauseMs()
    const sentMs = Date.now()
    const job = (await ended(platform, await submit(platform))) - sentMs
    await pauseMs()
    const bareStartMs = Date.now()
    execFileSync('docker', ['run', '--rm', '--network', 'none', image, 'true'])
    const bare = Date.now() - bareStartMs
    await pauseMs()
    if (i < 0) continue
    dispatchMs.push(dispatch)
    jobMs.push(job)
    bareMs.push(bare)
  }
  created.stop()
  const line = (what: string, values: number[]) =>
    console.log(`${what.padEnd(46)} p50 ${quantile(values, 0.5).toFixed(1).padStart(7)} ms   p99 ${quantile(values, 0.99).toFixed(1).padStart(7)} ms`)
  console.log(`\n${count} jobs, one after the other, on an idle node; poll and sweep at 30 s`)
  line('submit sent → container created', dispatchMs)
  line('submit sent → end of the job known to the client', jobMs)
  line('docker run --rm of the same command', bareMs)
  console.log(
    `overhead of a job over docker run at p50: ${(quantile(jobMs, 0.5) - quantile(bareMs, 0.5)).toFixed(1)} ms, ratio ${(quantile(jobMs, 0.5) / quantile(bareMs, 0.5)).toFixed(2)}`,
  )
}

function pauseMs(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, IDLE_MS))
}

async function submit(platform: Platform): Promise<string> {
  const response = await platform.api('POST', '/v1/projects/default/jobs', {
    spec: { runtime: 'bash', command: ['true'], files: { outputs: [] }, resources: { disk: '16Mi' } },
  })
  if (response.status !== 201) throw new Error(`submit answered ${response.status}: ${await response.text()}`)
  return ((await response.json()) as { id: string }).id
}

/** When the `end` event of the followed log came, by this machine's clock. */
async function ended(platform: Platform, jobId: string): Promise<number> {
  const response = await platform.api('GET', `/v1/jobs/${jobId}/logs?follow=true`)
  if (!response.body) throw new Error('no stream')
  let text = ''
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    text += chunk
    if (!text.includes('event: end')) continue
    if (!text.includes('succeeded')) throw new Error(`the job did not succeed: ${text}`)
    return Date.now()
  }
  throw new Error('the stream ended without the end event')
}

/** Docker's own account of when the container of each job was created, in milliseconds since 1970. */
async function watchCreates(docker: Docker): Promise<{ when(jobId: string): Promise<number>; stop(): void }> {
  const events = await docker.getEvents({ filters: { type: ['container'], event: ['create'], label: ['rgrid.job'] } })
  const seen = new Map<string, PromiseWithResolvers<number>>()
  const entry = (jobId: string) => {
    const known = seen.get(jobId) ?? Promise.withResolvers<number>()
    seen.set(jobId, known)
    return known
  }
  let rest = ''
  events.setEncoding('utf8')
  events.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines.filter((candidate) => candidate !== '')) {
      const event = JSON.parse(line) as { timeNano: number; Actor: { Attributes: Record<string, string> } }
      entry(event.Actor.Attributes['rgrid.job'] as string).resolve(event.timeNano / 1e6)
    }
  })
  return { when: (jobId) => entry(jobId).promise, stop: () => (events as unknown as { destroy(): void }).destroy() }
}

/** The image that the runtime `bash` stands for on this installation. */
async function imageOf(platform: Platform): Promise<string> {
  const jobId = await submit(platform)
  await ended(platform, jobId)
  return ((await (await platform.api('GET', `/v1/jobs/${jobId}`)).json()) as { image: string }).image
}

function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}
