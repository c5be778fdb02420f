import { errorText } from '../errors.ts'
import { mayPass } from './away.ts'
import type { Log } from './log.ts'
import { sleep, withDeadline } from './time.ts'

const FIRST_PAUSE_MS = 250
const LONGEST_PAUSE_MS = 5000
/** One try may take so long; a server that says nothing is as good as away. */
const TRY_DEADLINE_MS = 30_000

/** What a process stands on is there but cannot be used, and waiting does not mend it; the message is a sentence. */
export class UnusableError extends Error {
  constructor(what: string, cause: unknown) {
    super(`${what} cannot be used: ${text(cause)}`, { cause })
    this.name = 'UnusableError'
  }
}

/** The process was told to stop before it had started. */
export class StoppedError extends Error {
  constructor(signal: string) {
    super(`stopped by ${signal} while starting`)
    this.name = 'StoppedError'
  }
}

/** Aborted, with a StoppedError, by the first SIGTERM or SIGINT: so that a process can be stopped while it waits. */
export function stopSignal(): AbortSignal {
  const controller = new AbortController()
  for (const signal of ['SIGTERM', 'SIGINT']) process.once(signal, () => controller.abort(new StoppedError(signal)))
  return controller.signal
}

/**
 * Tries until `work` succeeds, with growing pauses, for ever: a server that is away for a while must not end those that
 * stand on it. Logs once for each new fault. Rejects with an UnusableError when `waits` says that waiting is no use, and
 * with the reason of `signal` when that is aborted.
 */
export async function untilReady<T>(
  what: string,
  log: Log,
  signal: AbortSignal,
  work: () => Promise<T>,
  waits: (error: unknown) => boolean = mayPass,
): Promise<T> {
  // One outage has several texts (refused, reset, terminated) that take turns: each is said once.
  const told = new Set<string>()
  for (let pauseMs = FIRST_PAUSE_MS; ; pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS)) {
    try {
      const result = await withDeadline(what, TRY_DEADLINE_MS, work, signal)
      if (told.size > 0) log.info({ server: what }, 'it answers now')
      return result
    } catch (error) {
      signal.throwIfAborted()
      if (!waits(error)) throw new UnusableError(what, error)
      if (!told.has(text(error))) log.warn({ server: what, error: text(error) }, 'not ready; waiting for it')
      told.add(text(error))
    }
    await sleep(pauseMs, signal)
  }
}

// A refused connection to a name with two addresses has no message of its own.
function text(error: unknown): string {
  return errorText(error) || String((error as { code?: unknown }).code)
}
