import type { Platform } from '../../harness/platform.ts'
import { followWithDocker, followWithRgrid, quantile, startJob, wallMs } from './followers.ts'

/** Each line says when it was written; the pause before the first one lets both followers connect. */
const CODE = (lines: number) => `import random, sys, time
time.sleep(3)
for i in range(${lines}):
    sys.stdout.write(f"{time.time_ns()}\\n")
    sys.stdout.flush()
    time.sleep(0.005 + random.random() * 0.01)
time.sleep(1)
`

/** From the write in the container to the byte on a follower's stdout, `docker logs -f` beside on the same container. */
export async function benchLatency(platform: Platform, lines: number): Promise<void> {
  const { jobId, container } = await startJob(platform, CODE(lines))
  const rgridMs: number[] = []
  const dockerMs: number[] = []
  const followers = [followWithRgrid(platform, jobId, collect(rgridMs)), followWithDocker(container, collect(dockerMs))]
  await Promise.all(followers.map((follower) => follower.done))
  for (const [name, values] of [
    ['rgrid logs -f', rgridMs],
    ['docker logs -f', dockerMs],
  ] as const) {
    if (values.length !== lines) throw new Error(`${name} brought ${values.length} of ${lines} lines`)
    const at = (q: number) => `${quantile(values, q).toFixed(1).padStart(6)} ms`
    console.log(`${name.padEnd(15)} write → stdout   p50 ${at(0.5)}   p90 ${at(0.9)}   p99 ${at(0.99)}   ${lines} lines`)
  }
}

function collect(latencies: number[]): (data: Buffer) => void {
  let rest = ''
  return (data) => {
    const now = wallMs()
    const lines = (rest + data.toString('latin1')).split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) latencies.push(now - Number(line) / 1e6)
  }
}
