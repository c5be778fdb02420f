import type { Metrics } from '#core/service/metrics.ts'
import { monotonicMs } from '#core/service/time.ts'
import type { CallBudget } from './call-budget.ts'
import { CLOUD_ERRORS, type Cloud, CloudError } from './cloud.ts'

const SECONDS: readonly number[] = [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]
const METHODS = ['offers', 'create', 'list', 'remove', 'leftovers', 'removeLeftover'] as const

/** Measures a provider of machines from outside of it. */
export interface CloudMeters {
  /** The same cloud, measured. The budget is that of a provider that limits calls. */
  measure(cloud: Cloud, budget?: CallBudget): Cloud
}

/** Makes the metrics, which are there without a provider too, and empty: calls by what came of them, how long they took, the budget. */
export function createCloudMeters(metrics: Metrics): CloudMeters {
  const calls = metrics.counter('rgrid_cloud_calls_total', 'What was asked of the provider of machines, by what came of it', ['method', 'result'])
  const seconds = metrics.histogram('rgrid_cloud_call_seconds', 'How long the provider of machines took', ['method'], SECONDS)
  let measured: CallBudget | undefined
  metrics.gauge('rgrid_cloud_api_remaining', 'Calls of its API that the provider would take at once', () => measured?.remaining() ?? {})
  metrics.total('rgrid_cloud_api_calls_total', 'Calls of its API that the provider was sent', () => measured?.calls() ?? 0)

  return {
    measure(cloud, budget) {
      measured = budget
      for (const method of METHODS) for (const result of ['ok', ...CLOUD_ERRORS]) calls.inc({ method, result }, 0)
      return meterCloud(cloud, (method, result, tookSeconds) => {
        calls.inc({ method, result })
        seconds.observe({ method }, tookSeconds)
      })
    },
  }
}

function meterCloud(cloud: Cloud, ended: (method: string, result: string, tookSeconds: number) => void): Cloud {
  async function measured<T>(method: (typeof METHODS)[number], work: Promise<T>): Promise<T> {
    const startedMs = monotonicMs()
    const tookSeconds = () => (monotonicMs() - startedMs) / 1000
    try {
      const value = await work
      ended(method, 'ok', tookSeconds())
      return value
    } catch (error) {
      ended(method, error instanceof CloudError ? error.kind : 'aborted', tookSeconds())
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
