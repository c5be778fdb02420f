import { RGridError } from '#core/errors.ts'
import { pause as waitFor } from '#core/service/time.ts'
import { onChange } from '../watch.ts'
import { kindOf, type Waiting } from './notice.ts'

/** Tells why something does not go on, for as long as it does not. */
export interface Teller {
  /** Whether it waits now; to be said as often as it is known. At the end: false. */
  hear(waits: boolean): void
}

/** What a teller works with. */
export interface TellerOptions {
  /** Reads why it waits; undefined: it does not any more. */
  ask(signal: AbortSignal): Promise<Waiting | undefined>
  /** Called with the first reason, and with each that is of another kind than the last. */
  tell(waiting: Waiting): void
  /** Called with what should not have happened; nothing is asked any more until it waits another time. */
  trouble(error: unknown): void
  /** Whether a reason told before is told again when it waits another time. */
  anew: boolean
  /** Resolves after so many milliseconds, or early when the signal is aborted; tests have their own. */
  pause?: (ms: number, signal: AbortSignal) => Promise<void>
}

/** What starts within this time needs no explanation. */
const GRACE_MS = 3000
const FIRST_PAUSE_MS = 3000
const GROWTH = 1.5
const MAX_PAUSE_MS = 30_000
/** Whatever an answer asks for: a timer takes no more than 24 days. */
const MAX_ASKED_PAUSE_MS = 3_600_000

/** See the interface. It never rejects: whoever follows a job gets its output whether or not somebody can say why it waits. */
export function createTeller(options: TellerOptions): Teller {
  let isNew = onChange()
  let round: AbortController | undefined
  return {
    hear(waits) {
      if (waits === (round !== undefined)) return
      round?.abort()
      round = undefined
      if (!waits) return
      round = new AbortController()
      if (options.anew) isNew = onChange()
      void askAgain(options, isNew, round.signal)
    },
  }
}

/** How long to wait before it is asked, when it was so many times already; longer, up to an hour, when the gateway says so. In milliseconds. */
export function pauseMs(asked: number, retryAfterSeconds: number): number {
  const ownMs = asked === 0 ? GRACE_MS : Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * GROWTH ** (asked - 1))
  const ms = Math.max(ownMs, Math.min(retryAfterSeconds * 1000, MAX_ASKED_PAUSE_MS))
  // A hundred that wait together shall not ask together.
  return ms * (1 + Math.random() / 4)
}

async function askAgain({ ask, tell, trouble, pause = waitFor }: TellerOptions, isNew: (kind: string) => boolean, signal: AbortSignal): Promise<void> {
  let retryAfterSeconds = 0
  for (let asked = 0; ; asked++) {
    await pause(pauseMs(asked, retryAfterSeconds), signal)
    if (signal.aborted) return
    retryAfterSeconds = 0
    try {
      const waiting = await ask(signal)
      // It may have started while the answer was on its way.
      if (signal.aborted) return
      if (waiting && isNew(kindOf(waiting.explanation))) tell(waiting)
    } catch (error) {
      if (signal.aborted || isRefused(error)) return
      if (!mayPass(error)) return trouble(error)
      retryAfterSeconds = error.retryAfterSeconds ?? 0
    }
  }
}

/** A key that may not ask, or a gateway that knows no explanations. Not the matter of whoever only wants the output: nothing is said. */
function isRefused(error: unknown): boolean {
  return error instanceof RGridError && (error.code === 'forbidden' || error.code === 'unauthenticated' || error.code === 'not_found')
}

/** The gateway is away or busy. Who follows the log hears of it there. */
function mayPass(error: unknown): error is RGridError {
  return error instanceof RGridError && (error.code === 'unavailable' || error.code === 'limit_exceeded' || error.code === 'timeout')
}
