import { sql } from 'slonik'
import { newId } from '#core/ids.ts'
import type { DatabasePool } from '#store/pool.ts'
import type { Factory } from './factory.ts'

/** Machines that were bought and attempts that ran on them, written directly; times in milliseconds since 1970. */
export interface PaidNodes {
  /** One that was bought then; `untilMs` null: it is there. */
  node(fromMs: number, untilMs: number | null, change?: { hourMicrons?: number; slots?: number; serverType?: string }): Promise<string>
  /** An attempt that had slots of it; `untilMs` null: it has them. Of a new job, unless one is named. Returns its id. */
  attempt(
    nodeId: string,
    fromMs: number,
    untilMs: number | null,
    change?: { slots?: number; charge?: number; state?: 'succeeded' | 'lost'; jobId?: string },
  ): Promise<string>
}

/** Makes them in a test database through a connection that may write everything. */
export function createPaidNodes(admin: DatabasePool, factory: Factory): PaidNodes {
  const time = (ms: number | null) => (ms === null ? null : new Date(ms).toISOString())
  return {
    async node(fromMs, untilMs, change = {}) {
      const id = await factory.node({ slots: change.slots ?? 2 })
      await admin.query(sql.unsafe`
        update nodes set provider = 'test', server_type = ${change.serverType ?? 'cx23'}, location = 'nbg1', hour_microns = ${change.hourMicrons ?? 9600},
          billed_from = ${time(fromMs)}, billed_until = ${time(untilMs)}, state = ${untilMs === null ? 'ready' : 'gone'} where id = ${id}`)
      return id
    },
    async attempt(nodeId, fromMs, untilMs, change = {}) {
      const jobId = change.jobId ?? (await factory.job())
      const id = newId('attempt')
      const [state, cause] = untilMs === null ? ['running', null] : change.state === 'lost' ? ['lost', 'lost'] : ['succeeded', 'exit']
      await admin.query(sql.unsafe`
        insert into attempts (id, account_id, job_id, number, node_id, lease_token, slots, memory_bytes, state, cause, assigned_at, finished_at, cost_microns)
        select ${id}, j.account_id, j.id, 1, ${nodeId}, 'x', ${change.slots ?? 1}, 1, ${state}, ${cause}, ${time(fromMs)}, ${time(untilMs)}, ${change.charge ?? 0}
        from jobs j where j.id = ${jobId}`)
      await admin.query(sql.unsafe`
        update jobs set state = ${untilMs === null ? 'running' : 'succeeded'}, cause = ${untilMs === null ? null : 'exit'}, exit_code = ${untilMs === null ? null : 0},
          attempt_id = ${id}, queue_until = null, finished_at = ${time(untilMs)} where id = ${jobId}`)
      return id
    },
  }
}
