import type { Metrics } from '#core/service/metrics.ts'
import { monotonicMs } from '#core/service/time.ts'
import type { CallBudget } from './call-budget.ts'
import { CLOUD_ERRORS, type Cloud, CloudError } from './cloud.ts'

const SECONDS: readonly number[] = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const METHODS = ['offers', 'create', 'list', 'remove', 'leftovers', 'removeLeftover'] as const

/**
 * The same cloud, with its calls counted by what came of them, and timed. With the budget of a provider that limits calls, also what
 * is left of it and what it was spent on.
 */
export function meterCloud(metrics: Metrics, cloud: Cloud, budget?: CallBudget): Cloud {
  const calls = metrics.counter('rgrid_cloud_calls_total', 'What was asked of the provider of machines, by what came of it', ['method', 'result'])
  const seconds = metrics.histogram('rgrid_cloud_call_seconds', 'How long the provider of machines took', ['method'], SECONDS)
  for (const method of METHODS) for (const result of ['ok', ...CLOUD_ERRORS]) calls.inc({ method, result }, 0)
  if (budget) {
    metrics.gauge('rgrid_cloud_api_remaining', 'Calls of its API that the provider would take at once', () => budget.remaining())
    metrics.total('rgrid_cloud_api_calls_total', 'Calls of its API that the provider was sent', () => budget.calls())
  }

  async function measured<T>(method: (typeof METHODS)[number], work: Promise<T>): Promise<T> {
    const startedMs = monotonicMs()
    const ended = (result: string) => {
      calls.inc({ method, result })
      seconds.observe({ method }, (monotonicMs() - startedMs) / 1000)
    }
    try {
      const value = await work
      ended('ok')
      return value
    } catch (error) {
      ended(error instanceof CloudError ? error.kind : 'aborted')
      throw error
    }
  }

  return {
    provider: cloud.provider,
    billing: cloud.billing,
    offers: (signal) => measured('offers', cloud.offers(signal)),
    create: (order, signal) => measured('create', cloud.create(order, signal)),
    list: (signal) => measured('list', cloud.list(signal)),
    remove: (serverId, signal) => measured('remove', cloud.remove(serverId, signal)),
    leftovers: (signal) => measured('leftovers', cloud.leftovers(signal)),
    removeLeftover: (leftover, signal) => measured('removeLeftover', cloud.removeLeftover(leftover, signal)),
  }
}
