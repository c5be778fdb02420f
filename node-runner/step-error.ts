import { errorText } from '#core/errors.ts'
import type { Cause } from '#core/job/state.ts'

/** How an attempt ends. */
export interface End {
  cause: Cause
  exitCode: number | null
  /** Whether it may pass by itself. */
  transient: boolean
  /** Whether this node could not run it whatever the job is. */
  nodeFault?: boolean
  message: string | null
}

/** A step could not be done; says what the attempt ends with. The message is shown to the user. */
export class StepError extends Error {
  readonly attemptCause: Cause
  /** Whether it may pass by itself. */
  readonly transient: boolean
  readonly nodeFault: boolean
  readonly exitCode: number | null

  constructor(cause: Cause, message: string, options: { transient?: boolean; nodeFault?: boolean; exitCode?: number } = {}) {
    super(message)
    this.name = 'StepError'
    this.attemptCause = cause
    this.transient = options.transient ?? false
    this.nodeFault = options.nodeFault ?? false
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

/**
 * What an attempt ends with when this was thrown. A request to stop counts before what it made fail. What no step has a word for is
 * the fault of the node, unless jobs can bring it about.
 */
export function endOf(error: unknown, stop: AbortSignal): End {
  const reason = error instanceof StopRequest ? error : stop.aborted && stop.reason instanceof StopRequest ? stop.reason : undefined
  if (reason) return { cause: reason.why === 'cancelled' ? 'cancelled' : 'interrupted', exitCode: null, transient: false, message: null }
  if (error instanceof StepError)
    return {
      ...{ cause: error.attemptCause, exitCode: error.exitCode, transient: error.transient, nodeFault: error.nodeFault },
      message: error.message.slice(0, 4000),
    }
  return { cause: 'runner_error', exitCode: null, transient: true, nodeFault: !ofJobs(error), message: errorText(error).slice(0, 4000) }
}

/**
 * Whether jobs can bring it about on a node that is well: the engine says that what it was asked for is wrong (4xx: image, command),
 * or the disk is full (a node with little of it claims nothing).
 */
export function ofJobs(error: unknown): boolean {
  const status = (error as { statusCode?: unknown } | null)?.statusCode
  return (typeof status === 'number' && status >= 400 && status < 500) || /no space left on device/i.test(errorText(error))
}

/** Whether the attempt is somebody else's by now. */
export function isStale(stop: AbortSignal): boolean {
  return stop.aborted && stop.reason instanceof StopRequest && stop.reason.why === 'stale'
}
