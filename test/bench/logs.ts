import { parseArgs } from 'node:util'
import { startPlatform } from '../harness/platform.ts'
import { benchLatency } from './logs/latency.ts'
import { benchThroughput } from './logs/throughput.ts'

/**
 * `npm run bench:logs -- [--lines N] [--megabytes N] [--rounds N]`: how long a line takes from its write in the container
 * to the stdout of `rgrid logs -f`, and how fast a job's output comes, `docker logs -f` beside in the same run.
 */
const { values } = parseArgs({
  options: { lines: { type: 'string', default: '1000' }, megabytes: { type: 'string', default: '200' }, rounds: { type: 'string', default: '3' } },
})

const platform = await startPlatform({ RGRID_MAX_LOG_BYTES: String(2 ** 30) }, true)
try {
  if (Number(values.lines) > 0) await benchLatency(platform, Number(values.lines))
  if (Number(values.megabytes) > 0) await benchThroughput(platform, Number(values.megabytes) * 1e6, Number(values.rounds))
} finally {
  await platform.stop()
}
process.exit(0)
