import type { DatabasePool } from '#store/pool.ts'
import type { Cloud } from '../../../scheduler/cloud/cloud.ts'

/** Passes every point at which something outside has just changed, or is about to. */
export interface FaultPoints {
  db(db: DatabasePool): DatabasePool
  cloud(cloud: Cloud): Cloud
  /** The names of those that were passed. */
  passed: string[]
}

const STATEMENTS = ['query', 'any', 'anyFirst', 'one', 'oneFirst', 'maybeOne', 'maybeOneFirst'] as const
const CHANGES_CLOUD = ['create', 'remove', 'removeLeftover'] as const

/**
 * Wraps what the loops speak with. Every statement that writes, every end of a transaction and every order to the provider is
 * two points: before it, and when it was done but the answer has not come. Nothing that lasts changes between two points, so
 * a process that dies anywhere dies at one of them. `reached` is told of each; it may not return.
 */
export function createFaultPoints(reached: (place: number, name: string) => void): FaultPoints {
  const passed: string[] = []
  const point = (name: string) => {
    passed.push(name)
    reached(passed.length, name)
  }

  async function around<T>(name: string, call: () => Promise<T>): Promise<T> {
    point(`before ${name}`)
    try {
      return await call()
    } finally {
      point(`after ${name}`)
    }
  }

  function wrap<T extends object>(target: T): T {
    return new Proxy(target, {
      get(object, key) {
        const value: unknown = Reflect.get(object, key)
        if (typeof value !== 'function') return value
        if (key === 'transaction') {
          return (work: (tx: object) => Promise<unknown>) => around('a commit', () => value.call(object, (tx: object) => work(wrap(tx))))
        }
        if (!STATEMENTS.includes(key as (typeof STATEMENTS)[number])) return value.bind(object)
        return (statement: { sql: string }) => {
          const run = () => value.call(object, statement) as Promise<unknown>
          const text = statement.sql.trim().replaceAll(/\s+/g, ' ')
          return /^(insert|update|delete)\b|\b(insert into|delete from)\b/.test(text) ? around(text.slice(0, 60), run) : run()
        }
      },
    })
  }

  return {
    db: (db) => wrap(db),
    cloud(cloud) {
      const wrapped: Record<string, unknown> = { ...cloud }
      for (const name of CHANGES_CLOUD) {
        const call = cloud[name] as (argument: unknown, signal: AbortSignal) => Promise<unknown>
        wrapped[name] = (argument: unknown, signal: AbortSignal) => around(`cloud.${name}`, () => call(argument, signal))
      }
      return wrapped as unknown as Cloud
    },
    passed,
  }
}
