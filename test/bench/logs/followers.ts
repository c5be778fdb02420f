import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { containerName } from '../../../node-runner/docker/options.ts'
import { followUntil, readJob } from '../../harness/follow.ts'
import type { Platform } from '../../harness/platform.ts'

const ROOT = join(import.meta.dirname, '../../..')

/** What a follower has read, and when. */
export interface Reading {
  bytes: number
  firstMs: number
  lastMs: number
}

/** A program that follows an output on its stdout. */
export interface Follower {
  pid: number
  /** Resolves when it has ended. */
  done: Promise<Reading>
}

/** Milliseconds since 1970 with fractions, by the clock that a container on this machine reads too. */
export function wallMs(): number {
  return performance.timeOrigin + performance.now()
}

/** `rgrid logs -f`. */
export function followWithRgrid(platform: Platform, jobId: string, hear?: (data: Buffer) => void): Follower {
  const node = process.execPath
  return follow(
    spawn(node, [join(ROOT, 'cli/main.ts'), 'logs', '-f', jobId], { env: { ...process.env, ...platform.env }, stdio: ['ignore', 'pipe', 'inherit'] }),
    hear,
  )
}

/** `docker logs -f`. */
export function followWithDocker(container: string, hear?: (data: Buffer) => void): Follower {
  return follow(spawn('docker', ['logs', '-f', container], { stdio: ['ignore', 'pipe', 'inherit'] }), hear)
}

function follow(child: ChildProcess, hear: (data: Buffer) => void = () => undefined): Follower {
  const reading: Reading = { bytes: 0, firstMs: 0, lastMs: 0 }
  child.stdout?.on('data', (data: Buffer) => {
    reading.lastMs = wallMs()
    if (reading.bytes === 0) reading.firstMs = reading.lastMs
    reading.bytes += data.length
    hear(data)
  })
  return { pid: child.pid as number, done: once(child, 'close').then(() => reading) }
}

/** Submits a Python job of one CPU, waits until it runs, and says what its container is called. */
export async function startJob(platform: Platform, code: string): Promise<{ jobId: string; container: string; image: string }> {
  const response = await platform.api('POST', '/v1/projects/default/jobs', {
    spec: { runtime: 'python:3.11', code, files: { outputs: [] }, resources: { disk: '16Mi' } },
  })
  if (response.status !== 201) throw new Error(`submit answered ${response.status}: ${await response.text()}`)
  const { id } = (await response.json()) as { id: string }
  await followUntil(platform, id, /"state":"running"/)
  const job = await readJob(platform, id)
  const container = containerName(job.attempts[0]?.id as string)
  while (!isRunning(container)) await new Promise((resolve) => setTimeout(resolve, 10))
  return { jobId: id, container, image: job.image }
}

function isRunning(container: string): boolean {
  return execFileSync('docker', ['ps', '-q', '--filter', `name=${container}`, '--filter', 'status=running'], { encoding: 'utf8' }) !== ''
}

/** The value below which this part of the values lies. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}
