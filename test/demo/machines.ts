import { startBoughtPlatform } from '../harness/machines/bought.ts'
import { submitShortJobs, watchBatch } from '../harness/machines/timeline.ts'

/**
 * `npm run demo:machines`: from no machine to none. 40 short jobs are submitted to a platform that has no node; machines are bought at a
 * stand-in of Hetzner (each a real node-runner here), run them and go. Prints how it went, each call that the provider saw, and its bill.
 */
const JOBS = 40
const say = (line: string) => void process.stdout.write(`${line}\n`)

say('starting a platform without a node, and the stand-in of Hetzner')
const platform = await startBoughtPlatform()
try {
  const batchId = await submitShortJobs(platform, JOBS)
  say(`${batchId}: ${JOBS} jobs\n`)
  await watchBatch(platform, batchId, {
    deadlineMs: 300_000,
    over: ({ succeeded, nodes, servers }) => succeeded === JOBS && Object.keys(nodes).length === 0 && servers === 0,
    tell: say,
  })
  const { calls, world } = platform.standIn
  const byRoute = Map.groupBy(calls, ({ method, route }) => `${method} ${route}`)
  say(`\ncalls: ${[...byRoute].map(([route, made]) => `${made.length} × ${route}`).join(', ')}`)
  const servers = world.bill.charges.filter(({ kind }) => kind === 'server')
  say(`bill: ${servers.length} machines, ${(world.bill.totalMicrons() / 1e6).toFixed(4)} EUR with their addresses, each started hour whole`)
} finally {
  await platform.stop()
}
