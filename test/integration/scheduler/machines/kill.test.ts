import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { pino } from 'pino'
import { sql } from 'slonik'
import { createDbPool } from '#store/pool.ts'
import { createTestDatabase } from '../../../harness/database.ts'
import { assertSame, differences, enrolMachines, nodeRows, statesOf } from '../../../harness/machines/fleet.ts'
import { createHttpCloud } from '../../../harness/machines/http-cloud.ts'
import { startProvider } from '../../../harness/machines/provider.ts'
import { createRounds, planFor, type Rounds } from '../../../harness/machines/rounds.ts'

const PROCESS = join(import.meta.dirname, '../../../harness/machines/life-process.ts')

const database = await createTestDatabase()
const admin = await createDbPool(database.adminUrl, 4)
const db = await createDbPool(database.schedulerUrl, 4)
const provider = await startProvider()
after(async () => {
  await provider.close()
  await Promise.all([admin.end(), db.end()])
  await database.drop()
})

async function clear(): Promise<void> {
  await admin.query(sql.unsafe`truncate nodes, enrolment_tokens, cells, scaling cascade`)
  Object.assign(provider, { servers: [], made: [], onCreate: () => undefined })
}

/** Loops as a scheduler that starts now has them: nothing is known to them but what is written down. */
const freshLoops = (wanted: number): Rounds =>
  createRounds({ db, cloud: createHttpCloud(provider.url), log: pino({ level: 'silent' }), plan: planFor(() => wanted) })

/** Runs a scheduler's loops as a process of their own that kills itself at a point; 0: never. Returns the points it passed. */
async function runProcess(life: Life, killAt: number): Promise<{ signal: string | null; points: string[] }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ signal: string | null; points: string[] }>()
  execFile(process.execPath, [PROCESS, database.schedulerUrl, provider.url, String(life.to), String(life.rounds), String(killAt)], (error, stdout, stderr) => {
    const signal = error?.signal ?? null
    if (error && signal !== 'SIGKILL') reject(new Error(stderr))
    else resolve({ signal, points: stdout === '' ? [] : (JSON.parse(stdout) as string[]) })
  })
  return promise
}

/** Rounds, with nothing new decided, until what is written down is what the provider has; returns how many sweeps that took. */
async function sweepsUntilSame(loops: Rounds): Promise<number> {
  for (let sweeps = 1; ; sweeps++) {
    await loops.provision()
    await loops.collect()
    await loops.sweep()
    if ((await differences(admin, provider.servers)).length === 0) return sweeps
    assert.ok(sweeps < 10, (await differences(admin, provider.servers)).join('\n'))
  }
}

async function grow(machines: number): Promise<void> {
  const loops = freshLoops(machines)
  for (let round = 0; (await statesOf(admin)).ready !== machines; round++) {
    assert.ok(round < 10, JSON.stringify(await nodeRows(admin)))
    await loops.all()
    await enrolMachines(admin, provider.servers, provider.userData)
  }
}

async function shrink(): Promise<void> {
  const loops = freshLoops(0)
  for (let round = 0; provider.servers.length > 0 || (await nodeRows(admin)).some(({ state }) => state !== 'gone' && state !== 'failed'); round++) {
    assert.ok(round < 10, JSON.stringify(await nodeRows(admin)))
    await loops.all()
  }
}

interface Life {
  name: string
  /** How many machines there ever are, and how many the process is to bring it to. */
  machines: number
  to: number
  /** So many rounds bring it there. */
  rounds: number
  prepare(): Promise<void>
}

/** What the process is killed in, and what it finds. */
const LIVES: Life[] = [
  { name: 'buying machines', machines: 2, to: 2, rounds: 2, prepare: async () => undefined },
  {
    name: 'buying a machine where the first cell has none',
    machines: 1,
    to: 1,
    rounds: 1,
    async prepare() {
      provider.onCreate = (order) => (order.location === 'here' ? { kind: 'no_capacity', code: 'resource_unavailable' } : undefined)
    },
  },
  {
    name: 'buying a machine when the answer is lost',
    machines: 1,
    to: 1,
    rounds: 1,
    async prepare() {
      let lost = 0
      provider.onCreate = () => (lost++ === 0 ? { kind: 'unknown_outcome', done: true } : undefined)
    },
  },
  { name: 'deleting machines', machines: 2, to: 0, rounds: 4, prepare: () => grow(2) },
]

// What there is to be killed at is found by living each life once, before the first test runs.
const lives: { life: Life; points: string[] }[] = []
for (const life of LIVES) {
  await clear()
  await life.prepare()
  lives.push({ life, points: (await runProcess(life, 0)).points })
}

for (const { life, points } of lives) {
  test(`${life.name}: there are points of each kind`, () => {
    assert.ok(points.length >= 20, points.join('\n'))
    for (const kind of ['a commit', life.to > 0 ? 'cloud.create' : 'cloud.remove'])
      for (const when of ['before', 'after']) assert.ok(points.includes(`${when} ${kind}`), `${when} ${kind}`)
  })

  for (const [place, name] of points.entries()) {
    test(`killed while ${life.name}, at ${place + 1}: ${name}`, async () => {
      await clear()
      await life.prepare()
      // Two orders may overtake each other, so that there are fewer points this time: then it ended by itself.
      const { signal, points: lived } = await runProcess(life, place + 1)
      assert.ok(signal === 'SIGKILL' || lived.length <= place, `${signal}`)
      const sweeps = await sweepsUntilSame(freshLoops(life.to))
      assert.ok(sweeps <= 2, `${sweeps} sweeps`)
      if (life.to > 0) await grow(life.machines)
      await assertSame(admin, provider.servers)
      await shrink()
      assert.equal(provider.made.length, life.machines, 'each machine is bought once')
      const states = await statesOf(admin)
      assert.deepEqual(states, { gone: life.machines }, 'each machine took work, and nothing else was begun')
      const tokens = await admin.oneFirst(sql.unsafe`select count(*)::int from enrolment_tokens where used_at is null`)
      assert.equal(tokens, 0, 'no token is left')
    })
  }
}
