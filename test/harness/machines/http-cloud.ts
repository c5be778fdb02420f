import { type Cloud, CloudError } from '../../../scheduler/cloud/cloud.ts'
import type { ProviderFault } from './provider.ts'

interface Answer {
  result?: unknown
  fault?: ProviderFault
  message?: string
}

/** A client of `startProvider`, for whichever process. */
export function createHttpCloud(url: string): Cloud {
  async function call<T>(name: string, argument: unknown, signal: AbortSignal): Promise<T> {
    let answer: Answer
    try {
      const response = await fetch(`${url}/${name}`, { method: 'POST', body: JSON.stringify([argument ?? null]), signal })
      answer = (await response.json()) as Answer
    } catch (error) {
      throw new CloudError('unknown_outcome', 'no_answer', `no answer to ${name}`, { cause: error })
    }
    if (answer.fault) throw new CloudError(answer.fault.kind, answer.fault.code ?? answer.fault.kind, `${name}: ${answer.message}`, answer.fault)
    return answer.result as T
  }
  return {
    provider: 'test',
    billing: 'hour',
    offers: (signal) => call('offers', null, signal),
    create: (order, signal) => call('create', order, signal),
    list: (signal) => call('list', null, signal),
    remove: (serverId, signal) => call('remove', serverId, signal),
    leftovers: (signal) => call('leftovers', null, signal),
    removeLeftover: (leftover, signal) => call('removeLeftover', leftover, signal),
  }
}
