import { errorText } from '#core/errors.ts'
import type { Cause } from '#core/job/state.ts'

/** How an attempt ends. */
export interface End {
  cause: Cause
  exitCode: number | null
  /** Whether it may pass by itself. */
  transient: boolean
  message: string | null
}

/** A step could not be done; says what the attempt ends with. The message is shown to the user. */
export class StepError extends Error {
  readonly attemptCause: Cause
  /** Whether it may pass by itself. */
  readonly transient: boolean
  readonly exitCode: number | null

  constructor(cause: Cause, message: string, options: { transient?: boolean; exitCode?: number } = {}) {
    super(message)
    this.name = 'StepError'
    this.attemptCause = cause
    this.transient = options.transient ?? false
    this.exitCode = options.exitCode ?? null
  }
}

/** Why a running attempt is to stop before its end. `stale`: its lease is over, nobody wants to hear of it. */
export class StopRequest extends Error {
  readonly why: 'cancelled' | 'interrupted' | 'stale'

  constructor(why: 'cancelled' | 'interrupted' | 'stale') {
    super(why)
    this.name = 'StopRequest'
    this.why = why
  }
}

/** The process leaves: nothing is ended, the next start goes on. */
export class Leaving extends Error {
  constructor() {
    super('the runner is being stopped')
    this.name = 'Leaving'
  }
}

/** What an attempt ends with when this was thrown. A request to stop counts before what it made fail. */
export function endOf(error: unknown, stop: AbortSignal): End {
  const reason = error instanceof StopRequest ? error : stop.aborted && stop.reason instanceof StopRequest ? stop.reason : undefined
  if (reason) return { cause: reason.why === 'cancelled' ? 'cancelled' : 'interrupted', exitCode: null, transient: false, message: null }
  if (error instanceof StepError)
    return { cause: error.attemptCause, exitCode: error.exitCode, transient: error.transient, message: error.message.slice(0, 4000) }
  return { cause: 'runner_error', exitCode: null, transient: true, message: errorText(error).slice(0, 4000) }
}

/** Whether the attempt is somebody else's by now. */
export function isStale(stop: AbortSignal): boolean {
  return stop.aborted && stop.reason instanceof StopRequest && stop.reason.why === 'stale'
}
