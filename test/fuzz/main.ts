import { parseArgs } from 'node:util'
import { withServices } from '../bench/with-services.ts'
import { fuzz, type Outcome } from './rounds.ts'
import { startWorld } from './world.ts'

/**
 * `npm run fuzz -- [--requests N] [--seed N]`: asks every route of a gateway on real servers for what its schemas take, and for
 * what they just do not, as operator, project key, owner, viewer and nobody (docs/RELIABILITY.md). Prints what came back, and the
 * first request that broke a promise as a command.
 */
const { values } = parseArgs({ options: { requests: { type: 'string', default: '50000' }, seed: { type: 'string', default: String(Date.now() % 2 ** 31) } } })

await withServices(async () => {
  const seed = Number(values.seed)
  const startedMs = performance.now()
  const world = await startWorld()
  let toldMs = 0
  try {
    const outcome = await fuzz(world, Number(values.requests), seed, ({ requests, repeats }) => {
      if (performance.now() - toldMs < 10_000) return
      toldMs = performance.now()
      process.stderr.write(`${requests} requests, ${repeats} repeats\n`)
    })
    print(outcome)
    process.stdout.write(`seed ${seed}, ${((performance.now() - startedMs) / 1000).toFixed(1)} s\n`)
    if (outcome.failures.length > 0) throw new Error(outcome.failures.join('\n\n'))
  } finally {
    await world.stop()
  }
})

function print({ requests, repeats, counts, slowest }: Outcome): void {
  const statuses = new Map<number, number>()
  for (const [name, byStatus] of [...counts].sort(([a], [b]) => a.localeCompare(b))) {
    const parts = [...byStatus].sort(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`)
    process.stdout.write(`${name.padEnd(62)} ${parts.join('  ')}\n`)
    for (const [status, count] of byStatus) statuses.set(status, (statuses.get(status) ?? 0) + count)
  }
  const all = [...statuses].sort(([a], [b]) => a - b).map(([status, count]) => `${status}: ${count}`)
  process.stdout.write(`${requests} requests: ${all.join('  ')}; ${repeats} refused ones sent again\n`)
  process.stdout.write(`the slowest answer took ${Math.round(slowest.ms)} ms (${slowest.name})\n`)
}
