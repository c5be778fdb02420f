import { RGridError } from '#core/errors.ts'
import { monotonicMs } from '#core/service/time.ts'
import { type Change, changes } from './changes.ts'
import type { Client } from './client.ts'
import type { EventQuery } from './follow-events.ts'
import type { Printer } from './print.ts'

/** So long without a gateway, and we give up. */
const GIVE_UP_MS = 15 * 60_000

/** What is watched. */
export interface Watched {
  query: EventQuery
  /** Reads the state and shows it, given what happened since the last time; true when it is over. */
  look(change: Change): Promise<boolean>
}

/** Looks whenever something may have changed, until it is over. A gateway that is away for a while is waited for. */
export async function watch(client: Client, print: Printer, { query, look }: Watched, signal: AbortSignal): Promise<void> {
  let heardMs = monotonicMs()
  for await (const change of changes(client, query, signal)) {
    try {
      if (await look(change)) return
      heardMs = monotonicMs()
    } catch (error) {
      if (!(error instanceof RGridError) || error.code !== 'unavailable' || monotonicMs() - heardMs > GIVE_UP_MS) throw error
      print.say(`rgrid: ${error.message}; trying again`)
    }
  }
}

/** Whether this text differs from the last one. */
export function onChange(): (text: string) => boolean {
  let last: string | undefined
  return (text) => {
    const changed = text !== last
    last = text
    return changed
  }
}
