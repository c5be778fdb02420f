import pg from 'pg'
import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop } from '#core/service/loop.ts'
import type { Service } from '#core/service/run.ts'

/** The key that the schedulers of a database take turns at, and by which others see that one leads. */
export const LEADER_KEY = 7_246_301_125

/** Tells whether this process is the one that does the work that only one may do. */
export interface Leader extends Service {
  isLeader(): boolean
}

/** A leader that has missed so many rounds is none any more. */
const SILENT_ROUNDS = 4

/**
 * Holds an advisory lock on a connection of its own: whoever has it is the leader, and when the process or its
 * connection dies Postgres frees it at once, so another takes over within `everyMs`.
 */
export function createLeader(options: { url: string; key: number; log: Log; everyMs?: number }): Leader {
  const everyMs = options.everyMs ?? 2000
  let client: pg.Client | undefined
  let leader = false

  async function connectClient(): Promise<pg.Client> {
    const fresh = new pg.Client({
      connectionString: options.url,
      keepAlive: true,
      connectionTimeoutMillis: 5000,
      query_timeout: 5000,
      // A process that stands still keeps its connection: Postgres ends the session of a leader that says nothing.
      options: `-c idle_session_timeout=${everyMs * SILENT_ROUNDS}`,
    })
    fresh.on('error', (error) => lose(fresh, error))
    fresh.on('end', () => lose(fresh, undefined))
    await fresh.connect()
    return fresh
  }

  function lose(lost: pg.Client, error: unknown): void {
    if (client !== lost) return
    client = undefined
    if (leader) options.log.warn({ error: error === undefined ? undefined : errorText(error) }, 'leadership lost')
    leader = false
  }

  const loop = createLoop({
    name: 'leader',
    everyMs,
    log: options.log,
    async round() {
      client ??= await connectClient()
      const current = client
      try {
        const { rows } = await current.query<{ held: boolean }>(
          leader ? 'select true as held' : 'select pg_try_advisory_lock($1) as held',
          leader ? [] : [options.key],
        )
        if (!leader && rows[0]?.held) {
          leader = true
          options.log.info('this process is the leader now')
        }
      } catch (error) {
        lose(current, error)
        await current.end().catch(() => undefined)
        throw error
      }
    },
  })

  return {
    name: 'leader',
    start: loop.start,
    async stop() {
      await loop.stop()
      const held = client
      client = undefined
      leader = false
      await held?.end()
    },
    isLeader: () => leader,
  }
}
