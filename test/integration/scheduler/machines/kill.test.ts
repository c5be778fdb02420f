import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { pino } from 'pino'
import { sql } from 'slonik'
import { createDbPool } from '#store/pool.ts'
import type { Server } from '../../../../scheduler/cloud/cloud.ts'
import { createTestDatabase } from '../../../harness/database.ts'
import { startHetzner } from '../../../harness/hetzner/stand-in.ts'
import { assertSame, differences, enrolMachines, nodeRows, statesOf } from '../../../harness/machines/fleet.ts'
import { createHetznerCloud } from '../../../harness/machines/hetzner-cloud.ts'
import { createRounds, planFor, type Rounds } from '../../../harness/machines/rounds.ts'

const PROCESS = join(import.meta.dirname, '../../../harness/machines/life-process.ts')

const database = await createTestDatabase()
const admin = await createDbPool(database.adminUrl, 4)
const db = await createDbPool(database.schedulerUrl, 4)
/** What each server was given to boot with. */
const userData = new Map<string, string>()
const hetzner = await startHetzner({
  limitPerHour: 1_000_000,
  boot(server) {
    userData.set(server.name, server.userData)
    return undefined
  },
})
after(async () => {
  await hetzner.stop()
  await Promise.all([admin.end(), db.end()])
  await database.drop()
})

/** What there is at the provider, whatever it is called and labelled. */
function servers(): Server[] {
  hetzner.settle()
  return [...hetzner.world.servers.values()].map(({ id, name, status, type, location, createdMs }) => ({
    id: String(id),
    name,
    nodeId: null,
    serverType: type.name,
    location: location.name,
    status: status === 'initializing' ? 'starting' : status,
    createdAtMs: createdMs,
  }))
}

/** How many servers Hetzner has charged for in this test, if only for a moment. */
const charged = () => hetzner.world.bill.charges.slice(chargesBefore).filter(({ kind }) => kind === 'server').length
let chargesBefore = 0

async function clear(): Promise<void> {
  await admin.query(sql.unsafe`truncate nodes, enrolment_tokens, cells, scaling cascade`)
  hetzner.faults.clear()
  hetzner.world.servers.clear()
  hetzner.world.addresses.clear()
  chargesBefore = hetzner.world.bill.charges.length
}

/** Loops as a scheduler that starts now has them: nothing is known to them but what is written down. */
const freshLoops = (wanted: number): Rounds =>
  createRounds({ db, cloud: createHetznerCloud(hetzner.url, hetzner.token), log: pino({ level: 'silent' }), plan: planFor(() => wanted) })

/** Runs a scheduler's loops as a process of their own that kills itself at a point; 0: never. Returns the points it passed. */
async function runProcess(life: Life, killAt: number): Promise<{ signal: string | null; points: string[] }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ signal: string | null; points: string[] }>()
  execFile(
    process.execPath,
    [PROCESS, database.schedulerUrl, hetzner.url, hetzner.token, String(life.to), String(life.rounds), String(killAt)],
    (error, stdout, stderr) => {
      const signal = error?.signal ?? null
      if (error && signal !== 'SIGKILL') reject(new Error(stderr))
      else resolve({ signal, points: stdout === '' ? [] : (JSON.parse(stdout) as string[]) })
    },
  )
  return promise
}

/** Rounds, with nothing new decided, until what is written down is what the provider has; returns how many sweeps that took. */
async function sweepsUntilSame(loops: Rounds): Promise<number> {
  for (let sweeps = 1; ; sweeps++) {
    await loops.provision()
    await loops.collect()
    await loops.sweep()
    if ((await differences(admin, servers())).length === 0) return sweeps
    assert.ok(sweeps < 10, (await differences(admin, servers())).join('\n'))
  }
}

async function grow(machines: number): Promise<void> {
  const loops = freshLoops(machines)
  for (let round = 0; (await statesOf(admin)).ready !== machines; round++) {
    assert.ok(round < 10, JSON.stringify(await nodeRows(admin)))
    await loops.all()
    await enrolMachines(admin, servers(), userData)
  }
}

async function shrink(): Promise<void> {
  const loops = freshLoops(0)
  for (let round = 0; servers().length > 0 || (await nodeRows(admin)).some(({ state }) => state !== 'gone' && state !== 'failed'); round++) {
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
      hetzner.faults.add({ method: 'POST', route: '/servers', cell: { location: 'fsn1' }, times: 1000, error: { code: 'resource_unavailable' } })
    },
  },
  {
    name: 'buying a machine when the answer is lost',
    machines: 1,
    to: 1,
    rounds: 1,
    async prepare() {
      hetzner.faults.add({ method: 'POST', route: '/servers', drop: 'after' })
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
    // A restart finds what was done and nothing else: "before" one is the same world as "after" the one before it.
    if (place > 0 && name.startsWith('before ')) continue
    test(`killed while ${life.name}, at ${place + 1}: ${name}`, async () => {
      await clear()
      await life.prepare()
      // Two orders may overtake each other, so that there are fewer points this time: then it ended by itself.
      const { signal, points: lived } = await runProcess(life, place + 1)
      assert.ok(signal === 'SIGKILL' || lived.length <= place, `${signal}`)
      const sweeps = await sweepsUntilSame(freshLoops(life.to))
      assert.ok(sweeps <= 2, `${sweeps} sweeps`)
      if (life.to > 0) await grow(life.machines)
      await assertSame(admin, servers())
      await shrink()
      assert.equal(charged(), life.machines, 'each machine is bought once')
      assert.equal(hetzner.world.addresses.size, 0, 'no address is left')
      const states = await statesOf(admin)
      assert.deepEqual(states, { gone: life.machines }, 'each machine took work, and nothing else was begun')
      const tokens = await admin.oneFirst(sql.unsafe`select count(*)::int from enrolment_tokens where used_at is null`)
      assert.equal(tokens, 0, 'no token is left')
    })
  }
}
