import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Platform } from '../../harness/platform.ts'
import { type Follower, followWithDocker, followWithRgrid, startJob } from './followers.ts'
import { type Peaks, watchMemory } from './memory.ts'

const LINE = 100

/** Writes lines of 100 bytes as fast as it can, after a pause that lets the follower connect. */
const CODE = (bytes: number) => `import sys, time
time.sleep(2)
block = (b"x" * ${LINE - 1} + b"\\n") * 650
left = ${bytes}
while left > 0:
    sys.stdout.buffer.write(block[:left])
    left -= len(block)
sys.stdout.flush()
`

interface Round {
  seconds: number
  peaks: Peaks
}

/** Follows a job that prints `bytes`, and a container that prints the same under `docker run`, in turns. */
export async function benchThroughput(platform: Platform, bytes: number, rounds: number): Promise<void> {
  const ours: Round[] = []
  const dockers: Round[] = []
  for (let round = 0; round < rounds; round++) {
    const { jobId, image } = await startJob(platform, CODE(bytes))
    ours.push(await measure(followWithRgrid(platform, jobId), 'rgrid', platformPids(platform), bytes))
    const name = `rgrid-bench-${process.pid}-${round}`
    // The same limits and the same recording as a job's container has, so that the difference is ours.
    const options = ['--cpus', '1', '--memory', '512m', '--network', 'none', '--log-driver', 'local', '--log-opt', 'max-size=4g', '--log-opt', 'compress=false']
    execFileSync('docker', ['run', '-d', '--name', name, ...options, '--log-opt', 'max-file=2', image, 'python3', '-c', CODE(bytes)])
    dockers.push(await measure(followWithDocker(name), 'docker', dockerPids(), bytes))
    execFileSync('docker', ['rm', '-f', name], { stdio: 'ignore' })
  }
  report('rgrid logs -f', ours, bytes)
  report('docker logs -f', dockers, bytes)
  const ratios = ours.map((round, i) => (dockers[i]?.seconds ?? Number.NaN) / round.seconds)
  console.log(`throughput of rgrid over docker: ${ratios.map((ratio) => ratio.toFixed(2)).join(', ')}`)
}

async function measure(follower: Follower, name: string, pids: Record<string, number>, bytes: number): Promise<Round> {
  const memory = watchMemory({ [name]: follower.pid, ...pids })
  const reading = await follower.done
  const peaks = memory.stop()
  if (reading.bytes !== bytes) throw new Error(`${name} brought ${reading.bytes} of ${bytes} bytes`)
  return { seconds: (reading.lastMs - reading.firstMs) / 1000, peaks }
}

function report(name: string, rounds: readonly Round[], bytes: number): void {
  const speed = rounds.map((round) => `${round.seconds.toFixed(1)} s (${(bytes / 1e6 / round.seconds).toFixed(0)} MB/s)`).join(', ')
  console.log(`${name.padEnd(15)} ${(bytes / 1e6).toFixed(0)} MB, first to last byte: ${speed}`)
  for (const process of Object.keys(rounds[0]?.peaks ?? {}))
    console.log(`  peak memory of ${process.padEnd(12)} ${rounds.map((round) => `${((round.peaks[process] ?? 0) / 2 ** 20).toFixed(0)} MiB`).join(', ')}`)
}

function platformPids(platform: Platform): Record<string, number> {
  const ours = Object.fromEntries(
    ['gateway', 'scheduler', 'node-runner'].map((name) => [name, Number(readFileSync(join(platform.stateDir, 'run', `${name}.pid`), 'utf8'))]),
  )
  const names = execFileSync('docker', ['ps', '--format', '{{.Names}} {{.Mounts}}', '--no-trunc'], { encoding: 'utf8' }).split('\n')
  const nats = names.find((line) => line.includes('-nats ') && line.includes(platform.stateDir))?.split(' ')[0] as string
  const natsPid = Number(execFileSync('docker', ['inspect', '-f', '{{.State.Pid}}', nats], { encoding: 'utf8' }))
  return { ...ours, nats: natsPid, ...dockerPids() }
}

function dockerPids(): Record<string, number> {
  return { dockerd: Number(readFileSync('/var/run/docker.pid', 'utf8')) }
}
