import type { Cause } from '#core/job/state.ts'

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
