import type { Log } from '#core/service/log.ts'
import type { Breakers } from './breakers.ts'
import { type Cell, CloudError } from './cloud.ts'
import type { HetznerApi } from './hetzner-api.ts'
import { actionError } from './hetzner-errors.ts'
import type { HetznerAction } from './hetzner-schema.ts'

/** Orders that were taken: whether what they began came to be is known when their actions end. */
export interface Orders {
  took(serverId: string, cell: Cell, actions: readonly HetznerAction[]): void
  /** Looks at all that are under way, in one call for each fifty actions; none when nothing is. */
  look(signal: AbortSignal): Promise<void>
  failure(serverId: string): { code: string; message: string } | undefined
  /** Forgets those whose servers are gone. */
  keep(serverIds: ReadonlySet<string>): void
}

interface Order {
  cell: Cell
  takenAtMs: number
  running: Set<number>
  failure: { code: string; message: string } | undefined
}

/**
 * Remembers orders in memory: after a restart a machine whose order failed is one that never enrols, and is found by that. A cell
 * whose order failed after it was taken has its breaker opened, like one that said so at once.
 */
export function createOrders(api: HetznerApi, breakers: Breakers, log: Log, now: () => number): Orders {
  const orders = new Map<string, Order>()

  function settle(serverId: string, order: Order, action: HetznerAction): void {
    if (action.status === 'running') return
    order.running.delete(action.id)
    if (action.status === 'error' && !order.failure) {
      const said = action.error ?? { code: 'action_failed', message: 'no reason was given' }
      const { kind, code, message } = actionError(said.code, said.message)
      order.failure = { code, message }
      if (kind === 'no_capacity') breakers.failed(order.cell, code, message)
      log.warn({ cell: `${order.cell.serverType}@${order.cell.location}`, code, error: message }, 'an order failed after it was taken')
    }
    if (order.running.size > 0) return
    if (!order.failure) {
      breakers.succeeded(order.cell, order.takenAtMs)
      orders.delete(serverId)
    }
  }

  return {
    took(serverId, cell, actions) {
      const order: Order = { cell, takenAtMs: now(), running: new Set(actions.map(({ id }) => id)), failure: undefined }
      orders.set(serverId, order)
      for (const action of actions) settle(serverId, order, action)
    },
    async look(signal) {
      const ids = [...orders.values()].flatMap(({ running }) => [...running])
      if (ids.length === 0) return
      const actions = new Map((await api.actions(ids, signal)).map((action) => [action.id, action]))
      for (const [serverId, order] of orders) {
        for (const id of [...order.running]) {
          const action = actions.get(id)
          if (action) settle(serverId, order, action)
        }
      }
    },
    failure: (serverId) => orders.get(serverId)?.failure,
    keep(serverIds) {
      for (const serverId of orders.keys()) if (!serverIds.has(serverId)) orders.delete(serverId)
    },
  }
}

/** Looks, and stays with what is known when Hetzner does not answer: the list of servers is worth more than this. */
export async function lookAtOrders(orders: Orders, log: Log, signal: AbortSignal): Promise<void> {
  try {
    await orders.look(signal)
  } catch (error) {
    if (!(error instanceof CloudError)) throw error
    log.warn({ code: error.code, error: error.message }, 'how orders are getting on could not be read; looking again next time')
  }
}
