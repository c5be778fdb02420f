import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Worker } from 'node:worker_threads'
import { pino } from 'pino'
import { sql } from 'slonik'
import { withDeadline } from '#core/service/time.ts'
import { recordEvents } from '#store/events.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { createSender } from '../../scheduler/webhooks/send.ts'
import { createWebhooks } from '../../scheduler/webhooks/worker.ts'
import { serviceBus } from '../harness/bus.ts'
import { createTestDatabase } from '../harness/database.ts'
import { createFactory, type Factory } from '../harness/factory.ts'
import { startServices } from '../harness/local-services.ts'
import { testSealer } from '../harness/secret-keys.ts'
import { anEndpoint, aSecret } from '../harness/webhooks.ts'

/**
 * `npm run bench:webhooks -- [--deliveries N] [--endpoints N] [--hanging N] [--rounds N]`: events of jobs for 50 endpoints (2,000
 * deliveries), of which 10 never answer, beside the same where all answer, and where these 10 are not there: how long it takes
 * until the 40 others have all theirs, and how late each of these comes after its event. All in turns in one run; the receiver
 * has a thread of its own.
 */
const { values } = parseArgs({
  options: {
    deliveries: { type: 'string', default: '2000' },
    endpoints: { type: 'string', default: '50' },
    hanging: { type: 'string', default: '10' },
    rounds: { type: 'string', default: '5' },
  },
})
const [deliveries, endpoints, hanging, rounds] = [values.deliveries, values.endpoints, values.hanging, values.rounds].map(Number) as [
  number,
  number,
  number,
  number,
]
const events = Math.floor(deliveries / endpoints)
const wanted = events * (endpoints - hanging)
const DEADLINE_MS = 120_000

/** What the endpoints do that are not counted. */
const TENS = ['answer', 'hang', 'are not there'] as const
type Ten = (typeof TENS)[number]

interface Round {
  wholeMs: number
  p50Ms: number
  p99Ms: number
}

const stateDir = mkdtempSync(join(tmpdir(), 'rgrid-bench-'))
const services = await startServices(stateDir)
if (!services) process.exit(1)
Object.assign(process.env, services.env)
try {
  await compare()
} finally {
  await services.stop()
  rmSync(stateDir, { recursive: true, force: true })
}
process.exit(0)

async function compare(): Promise<void> {
  const database = await createTestDatabase()
  const db = await createDbPool(database.schedulerUrl)
  const admin = await createDbPool(database.adminUrl)
  const bus = await serviceBus()
  const make = await createFactory(admin)
  const receiver = await startReceiver()
  const seen: Record<Ten, Round[]> = { answer: [], hang: [], 'are not there': [] }
  try {
    // The first round warms up.
    for (let i = 0; i <= rounds; i++) {
      for (const ten of TENS) {
        const round = await measure(ten)
        if (i === 0) continue
        seen[ten].push(round)
        print(`round ${i}, ${hanging} ${ten}`, round)
      }
    }
  } finally {
    await receiver.worker.terminate()
    await bus.close()
    await Promise.all([db.end(), admin.end()])
    await database.drop()
  }
  console.log(
    `\n${events} events for ${endpoints} endpoints; what ${endpoints - hanging} healthy ones saw of theirs (${wanted} deliveries), medians of ${rounds} rounds`,
  )
  for (const ten of TENS) print(`the other ${hanging} ${ten}`, middle(seen[ten]))
  const beside = middle(seen.hang)
  for (const ten of ['answer', 'are not there'] as const) {
    const base = middle(seen[ten])
    const ratio = (key: keyof Round) => (beside[key] / base[key]).toFixed(2)
    console.log(`they hang, over they ${ten}: whole ${ratio('wholeMs')}, p50 ${ratio('p50Ms')}, p99 ${ratio('p99Ms')}`)
  }

  async function measure(ten: Ten): Promise<Round> {
    await admin.query(sql.unsafe`truncate webhook_endpoints, jobs, events, outbox cascade`)
    await admin.query(sql.unsafe`vacuum analyze webhook_deliveries`)
    for (let i = 0; i < endpoints; i++) {
      // The others are counted, whatever these do.
      if (i < hanging && ten === 'are not there') continue
      const path = i >= hanging ? 'ok' : ten === 'hang' ? 'hang' : 'uncounted'
      await anEndpoint(admin, make, { url: `http://127.0.0.1:${receiver.port}/${path}/${i}`, secrets: [aSecret()], events: ['job.started'] })
    }
    const jobIds: string[] = []
    for (let i = 0; i < events; i++) jobIds.push(await make.job())
    const send = createSender({
      ports: [],
      allowed: [{ cidr: '127.0.0.1/32', port: receiver.port }],
      resolve: () => Promise.reject(new Error('no names here')),
    })
    const worker = createWebhooks({ db, bus, log: pino({ level: 'silent' }), sealer: testSealer, send, disableDays: 5, drainMs: 0 })
    const done = receiver.count(wanted)
    await worker.start()
    const startedMs = Date.now()
    await happen(db, make, jobIds)
    worker.kick()
    const cameMs = await withDeadline('the deliveries', DEADLINE_MS, () => done)
    await worker.stop()
    const lateMs = cameMs.map(({ atMs, eventMs }) => atMs - eventMs).sort((a, b) => a - b)
    const at = (share: number) => lateMs[Math.min(lateMs.length - 1, Math.floor(lateMs.length * share))] as number
    return { wholeMs: Math.max(...cameMs.map(({ atMs }) => atMs)) - startedMs, p50Ms: at(0.5), p99Ms: at(0.99) }
  }
}

async function happen(db: DatabasePool, make: Factory, jobIds: readonly string[]): Promise<void> {
  const owner = { accountId: make.accountId, projectId: make.projectId, batchId: null }
  await db.transaction((tx) =>
    recordEvents(
      tx,
      jobIds.map((jobId) => ({ ...owner, jobId, type: 'job.started', data: {} })),
    ),
  )
}

/** Answers at once below /ok, and never below /hang; tells what came in one go when there is enough. */
async function startReceiver() {
  const worker = new Worker(new URL('./webhook-receiver.ts', import.meta.url))
  const port = await new Promise<number>((resolve) => worker.once('message', resolve))
  return {
    worker,
    port,
    count(wanted: number): Promise<{ atMs: number; eventMs: number }[]> {
      worker.postMessage(wanted)
      return new Promise((resolve) => worker.once('message', resolve))
    },
  }
}

function print(what: string, { wholeMs, p50Ms, p99Ms }: Round): void {
  console.log(
    `${what.padEnd(28)} all in ${String(Math.round(wholeMs)).padStart(6)} ms   p50 ${String(Math.round(p50Ms)).padStart(6)} ms   p99 ${String(Math.round(p99Ms)).padStart(6)} ms`,
  )
}

function middle(all: readonly Round[]): Round {
  const median = (key: keyof Round) => all.map((one) => one[key]).sort((a, b) => a - b)[Math.floor(all.length / 2)] as number
  return { wholeMs: median('wholeMs'), p50Ms: median('p50Ms'), p99Ms: median('p99Ms') }
}
