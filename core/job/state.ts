/** States of a job, in the order of its life; docs/JOB_STATES.md draws them. */
export const JOB_STATES = ['held', 'queued', 'running', 'succeeded', 'failed', 'cancelled'] as const
/** See JOB_STATES. */
export type JobState = (typeof JOB_STATES)[number]

/** States that a job never leaves (a retry by hand makes a new job). */
export const FINAL_JOB_STATES = ['succeeded', 'failed', 'cancelled'] as const satisfies readonly JobState[]

/** States of an attempt: one try of a job on one node. */
export const ATTEMPT_STATES = ['assigned', 'preparing', 'running', 'finishing', 'succeeded', 'failed', 'cancelled', 'lost', 'interrupted'] as const
/** See ATTEMPT_STATES. */
export type AttemptState = (typeof ATTEMPT_STATES)[number]

/** Attempt states in which a node holds the lease. */
export const LIVE_ATTEMPT_STATES = ['assigned', 'preparing', 'running', 'finishing'] as const satisfies readonly AttemptState[]

/** Why a job is held back from the queue. */
export const HOLDS = ['batch', 'backoff', 'not_before'] as const
/** See HOLDS. */
export type Hold = (typeof HOLDS)[number]

/** The one cause an attempt ends with; the first one wins. `queue_timeout` is that of a job only: no attempt was made. */
export const CAUSES = [
  'exit',
  'timeout',
  'oom',
  'cancelled',
  'image',
  'input',
  'output',
  'prepare_timeout',
  'queue_timeout',
  'lost',
  'interrupted',
  'runner_error',
] as const
/** See CAUSES. */
export type Cause = (typeof CAUSES)[number]

const JOB_TRANSITIONS: Readonly<Record<JobState, readonly JobState[]>> = {
  held: ['queued', 'cancelled'],
  queued: ['running', 'failed', 'cancelled'],
  running: ['queued', 'held', 'succeeded', 'failed', 'cancelled'],
  succeeded: [],
  failed: [],
  cancelled: [],
}

const ATTEMPT_ENDS = ['succeeded', 'failed', 'cancelled', 'lost', 'interrupted'] as const

const ATTEMPT_TRANSITIONS: Readonly<Record<AttemptState, readonly AttemptState[]>> = {
  assigned: ['preparing', 'running', 'finishing', ...ATTEMPT_ENDS],
  preparing: ['running', 'finishing', ...ATTEMPT_ENDS],
  running: ['finishing', ...ATTEMPT_ENDS],
  finishing: [...ATTEMPT_ENDS],
  succeeded: [],
  failed: [],
  cancelled: [],
  lost: [],
  interrupted: [],
}

/** Whether the transition table lets a job go from one state to the other. */
export function canJobGo(from: JobState, to: JobState): boolean {
  return JOB_TRANSITIONS[from].includes(to)
}

/** Whether the transition table lets an attempt go from one state to the other. */
export function canAttemptGo(from: AttemptState, to: AttemptState): boolean {
  return ATTEMPT_TRANSITIONS[from].includes(to)
}

/** Whether a job in this state has ended. */
export function isFinal(state: JobState): boolean {
  return (FINAL_JOB_STATES as readonly JobState[]).includes(state)
}
