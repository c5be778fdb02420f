import { pino } from 'pino'
import { createDbPool } from '#store/pool.ts'
import { createFaultPoints } from './fault-points.ts'
import { createHetznerCloud } from './hetzner-cloud.ts'
import { createRounds, planFor } from './rounds.ts'

/**
 * A scheduler's loops about machines in a process of their own, that is to be killed: `url of the database, url and token
 * of Hetzner, machines wanted, rounds, point`. Runs so many rounds and ends; at the point it kills itself with SIGKILL. Prints the names
 * of the points it passed.
 */
const [databaseUrl = '', hetznerUrl = '', token = '', wanted = '', rounds = '', killAt = ''] = process.argv.slice(2)
const points = createFaultPoints((place) => {
  if (place === Number(killAt)) process.kill(process.pid, 'SIGKILL')
})
const db = await createDbPool(databaseUrl, 4)
const loops = createRounds({
  db: points.db(db),
  cloud: points.cloud(createHetznerCloud(hetznerUrl, token)),
  log: pino({ level: 'silent' }),
  plan: planFor(() => Number(wanted)),
})
for (let round = 0; round < Number(rounds); round++) await loops.all()
await db.end()
process.stdout.write(`${JSON.stringify(points.passed)}\n`)
