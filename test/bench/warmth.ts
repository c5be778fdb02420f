import { parseArgs } from 'node:util'
import { pino } from 'pino'
import { sql } from 'slonik'
import { imageKey } from '#core/image-name.ts'
import { sleep } from '#core/service/time.ts'
import { createClaimStore } from '#store/claims.ts'
import { createDbPool, type DatabasePool } from '#store/pool.ts'
import { recordRenewal } from '#store/presence.ts'
import { type Claims, createClaims } from '../../scheduler/claims.ts'
import { createTestDatabase } from '../harness/database.ts'
import { createFactory } from '../harness/factory.ts'
import { median } from './median.ts'
import { withServices } from './with-services.ts'

/**
 * `npm run bench:warmth -- [--jobs N] [--load L]`: how many jobs start on a node that has their image, and how soon, with the
 * preference for such nodes off and on. The claims, and Postgres below them, are real; nodes, pulls and jobs are played: a pull
 * takes PULL_MS, a job RUN_MS, a node keeps the KEEPS images that it used last. Jobs come at random, at `--load` of what the
 * slots can take, the same ones in both runs.
 */
const { values } = parseArgs({ options: { jobs: { type: 'string', default: '400' }, load: { type: 'string', default: '0.5' } } })
const JOBS = Number(values.jobs)
const NODES = 8
const SLOTS = 2
const IMAGES = 16
const KEEPS = 4
const PULL_MS = 400
const RUN_MS = 200
const GAP_MS = RUN_MS / (NODES * SLOTS * Number(values.load))
const ASKS = { slots: SLOTS, memoryBytes: 2 ** 40 }

interface Node {
  id: string
  busy: number
  /** References, the one used last at the end. */
  images: string[]
}

interface Outcome {
  warm: number
  startMs: number[]
  claimMs: number[]
}

await withServices(async () => {
  const database = await createTestDatabase()
  const admin = await createDbPool(database.adminUrl, 16)
  for (const preferences of [false, true]) {
    const { warm, startMs, claimMs } = await play(admin, database.schedulerUrl, preferences)
    const sorted = startMs.toSorted((a, b) => a - b)
    const at = (share: number) => `${(sorted[Math.floor(sorted.length * share)] ?? 0).toFixed(0)} ms`
    console.log(
      `preference ${preferences ? 'on: ' : 'off:'} ${((100 * warm) / JOBS).toFixed(0)} % of ${JOBS} jobs start warm; to start: median ${at(0.5)}, 95 % ${at(0.95)}, most ${at(0.999)}; a claim: ${median(claimMs).toFixed(1)} ms`,
    )
  }
  await admin.end()
  await database.drop()
})

async function play(admin: DatabasePool, url: string, preferences: boolean): Promise<Outcome> {
  await admin.query(sql.unsafe`truncate jobs, nodes, batches, account_turns cascade`)
  const make = await createFactory(admin)
  const random = seeded(42)
  const nodes: Node[] = []
  for (let i = 0; i < NODES; i++) nodes.push({ id: await make.node({ slots: SLOTS, memoryBytes: 2 ** 40 }), busy: 0, images: [] })
  const store = createClaimStore(url, 2)
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const queuedAtMs = new Map<string, number>()
  const outcome: Outcome = { warm: 0, startMs: [], claimMs: [] }
  const running: Promise<void>[] = []
  const claims: Claims = createClaims(store, pino({ level: 'silent' }), { preferences, nudge: (nodeId) => void ask(byId.get(nodeId)) })

  async function ask(node: Node | undefined): Promise<void> {
    if (!node || node.busy >= SLOTS) return
    const beganMs = performance.now()
    const jobs = await claims.claim(node.id, { ...ASKS, slots: SLOTS - node.busy })
    outcome.claimMs.push(performance.now() - beganMs)
    for (const job of jobs) {
      node.busy++
      running.push(run(node, job.jobId, job.attemptId, job.spec.image))
    }
  }

  async function run(node: Node, jobId: string, attemptId: string, image: string): Promise<void> {
    if (node.images.includes(image)) outcome.warm++
    else await sleep(PULL_MS)
    outcome.startMs.push(performance.now() - (queuedAtMs.get(jobId) ?? 0))
    node.images = [...node.images.filter((had) => had !== image), image].slice(-KEEPS)
    await recordRenewal(admin, node.id, [attemptId], node.images.map(imageKey))
    await sleep(RUN_MS)
    await admin.query(sql.unsafe`
      with ended as (update attempts set state = 'succeeded', cause = 'exit', finished_at = now() where id = ${attemptId})
      update jobs set state = 'succeeded', cause = 'exit', finished_at = now() where id = ${jobId}`)
    node.busy--
    await ask(node)
  }

  for (const node of nodes) await recordRenewal(admin, node.id, [], [])
  for (let i = 0; i < JOBS; i++) {
    const image = `registry.example.com/image-${Math.floor(IMAGES * random() ** 2)}:1`
    queuedAtMs.set(await make.job({ spec: { runtime: image } }), performance.now())
    // One node hears the wake-up, whichever of those with room.
    const free = nodes.filter((node) => node.busy < SLOTS)
    void ask(free[Math.floor(random() * free.length)])
    await sleep(-Math.log(1 - random()) * GAP_MS)
  }
  while (outcome.startMs.length < JOBS) {
    await sleep(50)
    for (const node of nodes) void ask(node)
  }
  while (nodes.some((node) => node.busy > 0)) await sleep(20)
  await Promise.all(running)
  await store.close()
  return outcome
}

/** Numbers that are the same in each run (mulberry32). */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), state | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
}
