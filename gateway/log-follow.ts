import { tailLog } from '#bus/log-tail.ts'
import { Event } from '#bus/messages/event.ts'
import type { LogMessage } from '#bus/messages/log.ts'
import { eventSubject } from '#bus/subjects.ts'
import type { JobView, LogBatch, LogEnd, LogStatus } from '#core/api.ts'
import { errorText } from '#core/errors.ts'
import { isFinal } from '#core/job/state.ts'
import { monotonicMs } from '#core/service/time.ts'
import type { Principal } from '#store/api-keys.ts'
import { type LogPlace, readJobView, readLogPlaces } from '#store/job-query.ts'
import type { GatewayDeps } from './deps.ts'
import { readArchive } from './log-read.ts'
import { createMailbox, type Mailbox } from './mailbox.ts'

/** One event of a followed log. */
export type FollowEvent = { event: 'log'; id: string; data: LogBatch } | { event: 'status'; data: LogStatus } | { event: 'end'; data: LogEnd }

/** Where a follower left off: everything up to this message of this attempt was seen. */
export interface LogPosition {
  attempt: number
  seq: number
}

/** Events are a hint to look at the job again; this is how often it is looked at without one. */
const LOOK_EVERY_MS = 2000
/** How long after the end of an attempt its last log messages may still come over the bus. */
const LATE_MS = 5000
const QUEUE = 64

/**
 * Follows a job: its log, attempt after attempt, and where it is while it waits; ends with `end`. Waits for the
 * consumer of the events: nothing is read ahead but a bounded queue.
 */
export async function* followJob(deps: GatewayDeps, principal: Principal, jobId: string, from: LogPosition, signal: AbortSignal): AsyncGenerator<FollowEvent> {
  const mailbox = createMailbox<LogMessage>(QUEUE)
  const hints = deps.bus.subscribe(eventSubject(principal.accountId, principal.projectId, jobId), Event, () => mailbox.poke())
  const status = statusChanges(deps, principal, jobId)
  let { attempt, seq } = from
  try {
    while (!signal.aborted) {
      const { view, changed } = await status()
      if (changed) yield changed
      const [place] = await readLogPlaces(deps.db, jobId, attempt)
      if (place) {
        if (place.number > attempt) seq = 0
        yield* followAttempt(deps, { ...principal, jobId }, place, seq, mailbox, status, signal)
        attempt = place.number + 1
        seq = 0
      } else if (isFinal(view.state)) {
        yield { event: 'end', data: { state: view.state, cause: view.cause, exitCode: view.exitCode, message: view.message, warnings: view.warnings } }
        return
      } else await mailbox.take(LOOK_EVERY_MS, signal)
    }
  } finally {
    hints.unsubscribe()
  }
}

type StatusReader = () => Promise<{ view: JobView; changed: FollowEvent | undefined }>

/** Reads the job, and tells when its state or reason is not what was told last. */
function statusChanges(deps: GatewayDeps, principal: Principal, jobId: string): StatusReader {
  let told = ''
  return async () => {
    const view = await readJobView(deps.db, principal.projectId, jobId)
    if (!view) throw new Error(`job ${jobId} has gone`)
    const data: LogStatus = { state: view.state, reason: view.reason, attempt: view.attemptCount }
    const text = JSON.stringify(data)
    const changed: FollowEvent | undefined = text === told ? undefined : { event: 'status', data }
    told = text
    return { view, changed }
  }
}

async function* followAttempt(
  deps: GatewayDeps,
  owner: { accountId: string; projectId: string; jobId: string },
  first: LogPlace,
  afterSeq: number,
  mailbox: Mailbox<LogMessage>,
  status: StatusReader,
  signal: AbortSignal,
): AsyncGenerator<FollowEvent> {
  const asEvent = (message: LogMessage): FollowEvent => ({
    event: 'log',
    id: `${first.number}.${message.seq}`,
    data: { attempt: first.number, seq: message.seq, chunks: message.chunks },
  })
  let place = first
  let seq = afterSeq
  let finishedAtMs: number | undefined
  const archive = async function* () {
    for await (const message of readArchive(deps, owner, place.attemptId)) if (message.seq > seq) yield asEvent(message)
  }
  if (place.archived) return yield* archive()

  const tail = await tailLog(deps.bus, place.nodeId, place.attemptId, afterSeq)
  const pump = pumpInto(mailbox, tail.messages, deps, place.attemptId)
  try {
    while (!signal.aborted) {
      const message = await mailbox.take(finishedAtMs === undefined ? LOOK_EVERY_MS : 200, signal)
      if (message) {
        seq = message.seq
        if (message.chunks.length > 0) yield asEvent(message)
        if (message.end) return
        continue
      }
      const { changed } = await status()
      if (changed) yield changed
      place = (await readLogPlaces(deps.db, owner.jobId, first.number))[0] ?? place
      if (!place.finished) continue
      finishedAtMs ??= monotonicMs()
      if (place.logSeq !== null && seq >= place.logSeq) return
      if (monotonicMs() - finishedAtMs < LATE_MS) continue
      // What the bus did not bring is in the archive; an attempt that was lost has none, and no more will come.
      if (place.archived) yield* archive()
      return
    }
  } finally {
    await tail.close()
    mailbox.poke()
    // The pump may wait for room that nobody will make any more.
    while (await mailbox.take(0, AbortSignal.abort()));
    await pump
  }
}

async function pumpInto(mailbox: Mailbox<LogMessage>, messages: AsyncIterable<LogMessage>, deps: GatewayDeps, attemptId: string): Promise<void> {
  try {
    for await (const message of messages) await mailbox.put(message)
  } catch (error) {
    deps.log.warn({ attemptId, error: errorText(error) }, 'reading a live log failed')
  }
}
