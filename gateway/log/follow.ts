import { Event } from '#bus/messages/event.ts'
import { eventSubject } from '#bus/subjects.ts'
import type { JobView, LogBatch, LogEnd, LogStatus } from '#core/api.ts'
import { RGridError } from '#core/errors.ts'
import { isFinal } from '#core/job/state.ts'
import { readJobView, readLogPlaces } from '#store/job-query.ts'
import type { Principal } from '../access/caller.ts'
import { type Bell, createBell } from '../bell.ts'
import type { TenantDeps } from '../deps.ts'
import { followAttempt } from './follow-attempt.ts'
import type { LogView } from './view.ts'

/** One event of a followed log. */
export type FollowEvent = { event: 'log'; id: string; data: LogBatch } | { event: 'status'; data: LogStatus } | { event: 'end'; data: LogEnd }

/** Where a follower left off: everything up to this message of this attempt was seen. */
export interface LogPosition {
  attempt: number
  seq: number
  /** Where that message was in the stream on the bus, so that those before it need not be read again; 0: unknown. */
  position: number
}

/** A position as the id of an event. */
export function formatPosition({ attempt, seq, position }: LogPosition): string {
  return position === 0 ? `${attempt}.${seq}` : `${attempt}.${seq}.${position}`
}

/** The form of a position as text. */
export const POSITION_PATTERN = '^\\d{1,6}\\.\\d{1,12}(\\.\\d{1,15})?$'

/** Reads the id of an event; undefined when it is none. */
export function parsePosition(id: string): LogPosition | undefined {
  if (!new RegExp(POSITION_PATTERN).test(id)) return undefined
  const [attempt = 1, seq = 0, position = 0] = id.split('.').map(Number)
  return { attempt, seq, position }
}

/** From where on, and what of it, a follower wants to see. `tail`: of what is there already, only so many lines. */
export interface FollowStart extends LogPosition, LogView {
  tail?: number | undefined
}

/** Lifecycle events are a hint to look at the job again; this is how often it is looked at without one. */
export const LOOK_EVERY_MS = 2000

/** What a follower looks at besides the log: the job, again and again. */
export interface JobWatch {
  /** Reads the job; `changed` is the event to tell when its state or reason is not what was told last. */
  look(): Promise<{ view: JobView; changed: FollowEvent | undefined }>
  /** Whether an event of the job came since the last look. */
  hinted(): boolean
  /** Rings at each hint. */
  bell: Bell
  close(): void
}

/**
 * Follows a job: its log, attempt after attempt, and where it is while it waits; ends with `end`. Nothing is read
 * ahead but what the bus client buffers (100 messages), so a slow reader costs a bounded amount of memory.
 */
export async function* followJob(deps: TenantDeps, principal: Principal, jobId: string, from: FollowStart, signal: AbortSignal): AsyncGenerator<FollowEvent> {
  const watch = watchJob(deps, principal, jobId)
  let start = from
  try {
    while (!signal.aborted) {
      const { view, changed } = await watch.look()
      if (changed) yield changed
      const [place] = await readLogPlaces(deps.db, jobId, start.attempt)
      if (place) {
        yield* followAttempt(deps, { ...principal, jobId }, place, place.number > start.attempt ? { ...start, seq: 0, position: 0 } : start, watch, signal)
        start = { ...start, attempt: place.number + 1, seq: 0, position: 0, tail: undefined }
      } else if (isFinal(view.state)) {
        yield { event: 'end', data: { state: view.state, cause: view.cause, exitCode: view.exitCode, message: view.message, warnings: view.warnings } }
        return
      } else {
        // What comes from here on is new.
        start = { ...start, tail: undefined }
        await watch.bell.wait(LOOK_EVERY_MS, signal)
      }
    }
  } finally {
    watch.close()
  }
}

function watchJob(deps: TenantDeps, principal: Principal, jobId: string): JobWatch {
  const bell = createBell()
  let hint = false
  let told = ''
  const hints = deps.bus.subscribe(eventSubject(principal.accountId, principal.projectId, jobId), Event, () => {
    hint = true
    bell.ring()
  })
  return {
    bell,
    hinted: () => hint,
    async look() {
      hint = false
      const view = await readJobView(deps, principal.projectId, jobId)
      if (!view) throw new RGridError('not_found', `job ${jobId} has gone`)
      const data: LogStatus = { state: view.state, reason: view.reason, attempt: view.attemptCount }
      const text = JSON.stringify(data)
      const changed: FollowEvent | undefined = text === told ? undefined : { event: 'status', data }
      told = text
      return { view, changed }
    },
    close: () => hints.unsubscribe(),
  }
}
