import type { ErrorCode } from './answer.ts'

/** When something goes wrong, and what. Without a condition it is every call; the first that fits is used. */
export interface Fault {
  method?: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Of a route, such as `/servers` or `/servers/:id`. */
  route?: string
  /** Orders of this cell only; either part may be left out. */
  cell?: { serverType?: string; location?: string }
  /** Orders with a placement group only. */
  grouped?: boolean
  /** So many calls that fit go well before it begins. */
  skip?: number
  /** How many calls it is for; 1 when left out. */
  times?: number

  /** The answer is this error. With `commit` the call is carried out all the same. */
  error?: { code: ErrorCode; message?: string; details?: unknown }
  /** The answer is this status without a body that says why, as of a proxy. */
  status?: number
  commit?: boolean
  latencyMs?: number
  /** There is never an answer. */
  hang?: boolean
  /** The connection ends without an answer, before or after the call was carried out. */
  drop?: 'before' | 'after'
  /** The order is taken, and its action ends with this. */
  actionError?: { code: string; message: string }
  /** The server runs and its system never comes up. */
  stuckBoot?: boolean
  bootMs?: number
  /** What is answered instead, made of what would have been; as of a proxy or a release that is broken. */
  rewrite?: (answer: Record<string, unknown>) => unknown
  /** The addresses of the server stay when it goes. */
  keepAddresses?: boolean
}

/** What a fault is compared with. */
export interface Asked {
  method: string
  route: string
  body: unknown
}

/** The faults that are to come. */
export interface Faults {
  add(...faults: Fault[]): void
  clear(): void
  /** The fault of a call, counted; undefined: it goes well. */
  take(asked: Asked): Fault | undefined
}

/** None at first. */
export function createFaults(): Faults {
  let faults: { fault: Fault; skip: number; times: number }[] = []
  return {
    add: (...added) => void faults.push(...added.map((fault) => ({ fault, skip: fault.skip ?? 0, times: fault.times ?? 1 }))),
    clear() {
      faults = []
    },
    take(asked) {
      for (const one of faults) {
        if (one.times <= 0 || !fits(one.fault, asked)) continue
        if (one.skip > 0) one.skip--
        else {
          one.times--
          return one.fault
        }
      }
      return undefined
    },
  }
}

function fits({ method, route, cell, grouped }: Fault, asked: Asked): boolean {
  const order = (typeof asked.body === 'object' && asked.body !== null ? asked.body : {}) as Record<string, unknown>
  return (
    (method === undefined || method === asked.method) &&
    (route === undefined || route === asked.route) &&
    (cell?.serverType === undefined || cell.serverType === order.server_type) &&
    (cell?.location === undefined || cell.location === order.location) &&
    (grouped === undefined || grouped === (order.placement_group !== undefined))
  )
}
