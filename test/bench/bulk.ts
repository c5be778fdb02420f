import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { request } from 'node:http'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { parseArgs } from 'node:util'
import { createApiKey, ensureProject } from '#store/bootstrap.ts'
import { createDbPool } from '#store/pool.ts'
import { createTestDatabase } from '../harness/database.ts'
import { startGatewayProcess } from './gateway.ts'
import { median } from './median.ts'
import { withServices } from './with-services.ts'

/**
 * `npm run bench:bulk -- [--rounds N]`: how long one request takes that submits many jobs, as one JSON document and line by
 * line (NDJSON), and the most memory that the gateway took for it. Each shape has a gateway of its own.
 */
const { values } = parseArgs({ options: { rounds: { type: 'string', default: '3' } } })
const rounds = Number(values.rounds)
const HEAD = { metadata: { name: 'bulk' }, parallel: 100, template: { runtime: 'bash', command: ['echo'] } }
const itemOf = (i: number) => ({ name: `item-${i}`, args: [`input-${i}.json`], env: { SHARD: String(i) } })
const mebibytes = (kibibytes: number) => (kibibytes / 1024).toFixed(0)

await withServices(async () => {
  for (const [kind, size, heap] of [
    ['json', 10_000, 'of its own choice'],
    ['ndjson', 10_000, 'of its own choice'],
    ['ndjson', 100_000, 'of its own choice'],
    ['ndjson', 100_000, 'of 96 MiB'],
  ] as const) {
    const database = await createTestDatabase()
    const admin = await createDbPool(database.adminUrl, 2)
    const gateway = await startGatewayProcess(database.gatewayUrl, heap === 'of 96 MiB' ? { NODE_OPTIONS: '--max-old-space-size=96' } : {})
    const key = await createApiKey(admin, await ensureProject(admin, 'default', 'default'), 'bench')
    await submit(gateway.url, key, kind, 100)
    const before = peakOf(gateway.pid)
    const times: number[] = []
    for (let round = 0; round < rounds; round++) {
      const beganMs = performance.now()
      await submit(gateway.url, key, kind, size)
      times.push(performance.now() - beganMs)
    }
    const seconds = median(times) / 1000
    console.log(
      `${String(size).padStart(7)} items as ${kind.padEnd(6)}: ${seconds.toFixed(2).padStart(5)} s (median of ${rounds}), ${(size / seconds).toFixed(0)} jobs/s; a gateway with a heap ${heap}, peak memory ${mebibytes(before)} → ${mebibytes(peakOf(gateway.pid))} MiB`,
    )
    await gateway.stop()
    await admin.end()
    await database.drop()
  }
})

async function submit(url: string, key: string, kind: 'json' | 'ndjson', size: number): Promise<void> {
  const headers = { authorization: `Bearer ${key}`, 'content-type': kind === 'json' ? 'application/json' : 'application/x-ndjson' }
  const call = request(`${url}/v1/projects/default/batches`, { method: 'POST', headers })
  const answered = once(call, 'response')
  await pipeline(kind === 'json' ? Readable.from([JSON.stringify({ ...HEAD, items: Array.from({ length: size }, (_, i) => itemOf(i)) })]) : linesOf(size), call)
  const [response] = (await answered) as [import('node:http').IncomingMessage]
  const body = JSON.parse((await response.toArray()).join('')) as { size?: number }
  if (response.statusCode !== 201 || body.size !== size) throw new Error(`a batch of ${size} was answered ${response.statusCode}: ${JSON.stringify(body)}`)
}

function linesOf(size: number): Readable {
  function* lines() {
    yield `${JSON.stringify(HEAD)}\n`
    for (let i = 0; i < size; i++) yield `${JSON.stringify(itemOf(i))}\n`
  }
  return Readable.from(lines())
}

/** The most memory that a process ever had, in KiB. */
function peakOf(pid: number | undefined): number {
  return Number(/^VmHWM:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}
