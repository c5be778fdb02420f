import type { ResolvedSpec } from './resolve.ts'
import type { AttemptState, Cause, JobState } from './state.ts'

/** How often causes that are not the job's own fault (lost machine, interrupted, transient trouble) may repeat. */
export const MAX_INFRA_RETRIES = 5

/** An interruption is our own doing and spends nothing; after so many attempts the job fails all the same. */
export const MAX_ATTEMPTS = 250

/** How an attempt ended, as its node reports it or the scheduler finds it. */
export interface AttemptEnd {
  cause: Cause
  /** Present when the process ran to an end. */
  exitCode: number | null
  /** Whether trouble with image, input or output may pass by itself (a registry that was away). */
  transient: boolean
  /** Whether its node says that it could not run it whatever the job is. */
  nodeFault?: boolean
}

/** What has been spent so far. */
export interface RetryCount {
  retriesUsed: number
  infraRetriesUsed: number
  /** The number of the attempt that ended, from 1. */
  number: number
}

/** What becomes of the job. */
export type Decision =
  | { to: 'succeeded' | 'failed' | 'cancelled' }
  | { to: 'queued' | 'held'; spends: 'retry' | 'infra' | 'nothing'; delaySeconds: number; reason: string }

/** What becomes of a job whose attempt ended so; pure, the whole retry policy (docs/JOB_STATES.md). */
export function decide(spec: Pick<ResolvedSpec, 'retries' | 'backoff' | 'retryOn'>, used: RetryCount, end: AttemptEnd, cancelRequested: boolean): Decision {
  if (cancelRequested || end.cause === 'cancelled') return { to: 'cancelled' }
  if (end.cause === 'exit' && end.exitCode === 0) return { to: 'succeeded' }
  if (spendsRetry(end.cause)) {
    if (used.retriesUsed >= spec.retries || !wantsRetry(spec.retryOn, end)) return { to: 'failed' }
    const delaySeconds = backoffSeconds(spec.backoff, used.retriesUsed)
    return again('retry', delaySeconds, retryWords({ cause: end.cause, spends: 'retry', retry: used.retriesUsed + 1, of: spec.retries }))
  }
  if (end.cause === 'interrupted') {
    if (used.number >= MAX_ATTEMPTS) return { to: 'failed' }
    return again('nothing', 0, 'run again after interrupted')
  }
  const ownFault = !end.transient && (end.cause === 'image' || end.cause === 'input' || end.cause === 'output')
  if (ownFault || used.infraRetriesUsed >= MAX_INFRA_RETRIES) return { to: 'failed' }
  const delaySeconds = end.cause === 'lost' ? 0 : backoffSeconds({ initialSeconds: 1, factor: 2, maxSeconds: 60 }, used.infraRetriesUsed)
  return again('infra', delaySeconds, retryWords({ cause: end.cause, spends: 'infra', retry: used.infraRetriesUsed + 1, of: MAX_INFRA_RETRIES }))
}

/**
 * Whether an attempt that ended so speaks against its node. Not what a tenant has in its hand: images, addresses, sizes and what
 * the job does; nor a drain or a stop that somebody asked for.
 */
export function isNodeFault(end: Pick<AttemptEnd, 'cause' | 'nodeFault'>): boolean {
  return end.cause === 'lost' || ((end.cause === 'runner_error' || end.cause === 'interrupted') && end.nodeFault === true)
}

/** Whether running it again after this cause spends one of the job's own retries. */
export function spendsRetry(cause: Cause): boolean {
  return cause === 'exit' || cause === 'timeout' || cause === 'oom'
}

/** A run that is to come, in words. */
export function retryWords({ cause, spends, retry, of }: { cause: Cause; spends: 'retry' | 'infra'; retry: number; of: number }): string {
  return spends === 'retry' ? `retry ${retry} of ${of}` : `run again after ${cause}, ${retry} of at most ${of}`
}

function wantsRetry(retryOn: ResolvedSpec['retryOn'], end: AttemptEnd): boolean {
  if (end.cause === 'timeout') return retryOn.timeout
  if (end.cause === 'oom') return retryOn.oom
  return retryOn.exitCodes === null || (end.exitCode !== null && retryOn.exitCodes.includes(end.exitCode))
}

function again(spends: 'retry' | 'infra' | 'nothing', delaySeconds: number, reason: string): Decision {
  return { to: delaySeconds > 0 ? 'held' : 'queued', spends, delaySeconds, reason }
}

/** The pause before the retry after `used` earlier ones, in seconds. */
export function backoffSeconds(backoff: ResolvedSpec['backoff'], used: number): number {
  return Math.min(backoff.maxSeconds, backoff.initialSeconds * backoff.factor ** used)
}

/** The final state of an attempt that ended with this cause. */
export function attemptStateFor(end: AttemptEnd): AttemptState {
  switch (end.cause) {
    case 'exit':
      return end.exitCode === 0 ? 'succeeded' : 'failed'
    case 'cancelled':
    case 'lost':
    case 'interrupted':
      return end.cause
    default:
      return 'failed'
  }
}

/**
 * The exit code that `rgrid run` ends with: the job's own; 124 after a timeout (as timeout(1)), also in the queue, 130 cancelled,
 * 137 out of memory, 125 when the container could not be run at all (as docker run).
 */
export function exitStatus(job: { state: JobState; cause: Cause | null; exitCode: number | null }): number {
  if (job.state === 'succeeded') return 0
  if (job.state === 'cancelled') return 130
  if (job.cause === 'timeout' || job.cause === 'queue_timeout') return 124
  if (job.cause === 'oom') return 137
  if (job.cause === 'exit') return job.exitCode || 1
  return 125
}
