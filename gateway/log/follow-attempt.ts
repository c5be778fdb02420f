import { createLogOrder } from '#bus/log-order.ts'
import { tailLog } from '#bus/log-tail.ts'
import { RGridError } from '#core/errors.ts'
import { monotonicMs } from '#core/service/time.ts'
import { type LogPlace, readLogPlaces } from '#store/job-query.ts'
import type { TenantDeps } from '../deps.ts'
import { type FollowEvent, type FollowStart, type JobWatch, LOOK_EVERY_MS } from './follow.ts'
import { startIntake } from './intake.ts'
import { endOf, type LogOwner, readLog } from './read.ts'
import { createTeller, type Teller } from './teller.ts'
import { lastLines, sayMissing, viewOf } from './view.ts'

/** How long after the end of an attempt its last log messages may still come over the bus. */
const LATE_MS = 5000
/** An archived log goes on out of the archive when the bus has brought nothing of it for so long. */
const QUIET_MS = 300

/** The log of one attempt from where the reader wants it until it is complete, with the job's changes between. */
export async function* followAttempt(
  deps: TenantDeps,
  owner: LogOwner,
  first: LogPlace,
  start: FollowStart,
  watch: JobWatch,
  signal: AbortSignal,
): AsyncGenerator<FollowEvent> {
  const log = createTeller(first.number, start)
  let place = first
  if (start.tail !== undefined) yield* tailEvents(deps, owner, place, log, start.tail)
  if (isSettled(place)) return start.tail === undefined ? yield* settledEvents(deps, owner, place, log) : undefined

  const order = createLogOrder(log.seq())
  const intake = startIntake(await tailLog(deps.bus, place.nodeId, place.attemptId, start.position), watch.bell)
  let lookedAtMs = monotonicMs()
  let heardAtMs = lookedAtMs
  try {
    while (!signal.aborted) {
      const arrived = intake.take()
      if (arrived) {
        log.moveTo(arrived.position)
        const ready = order.accept(arrived.message)
        yield* log.tell(ready, place)
        if (ready.some((one) => one.end)) return
        heardAtMs = monotonicMs()
      }
      const waitMs = lookedAtMs + pauseAt(place) - monotonicMs()
      if (waitMs > 0 && !watch.hinted()) {
        if (!arrived) await watch.bell.wait(waitMs, signal)
        continue
      }
      lookedAtMs = monotonicMs()
      const { changed } = await watch.look()
      if (changed) yield changed
      place = (await readLogPlaces(deps.db, owner.jobId, place.number))[0] ?? place
      if (place.logSeq !== null && log.seq() >= place.logSeq) return
      if (!isSettled(place) || monotonicMs() - heardAtMs < QUIET_MS) continue
      // What the bus does not bring is in the archive; an attempt that was lost has none, and no more of it will come.
      if (place.archived) yield* settledEvents(deps, owner, place, log)
      else yield* log.tell([...order.rest(), ...endOf(place)], place)
      return
    }
  } finally {
    await intake.close()
  }
}

/** How long to wait for messages before looking again where the log is. */
function pauseAt(place: LogPlace): number {
  if (place.archived) return QUIET_MS
  return place.finishedMsAgo === null ? LOOK_EVERY_MS : LATE_MS / 10
}

/** Whether nothing will be added to the log that is not there now. An archive is written before the end is reported. */
function isSettled(place: LogPlace): boolean {
  if (place.archived) return true
  return place.finishedMsAgo !== null && place.finishedMsAgo > LATE_MS
}

async function* settledEvents(deps: TenantDeps, owner: LogOwner, place: LogPlace, log: Teller): AsyncGenerator<FollowEvent> {
  try {
    for await (const message of readLog(deps, owner, place)) yield* log.tell([message], place)
  } catch (error) {
    yield goneEvent(log, error)
  }
}

/** The last lines of what is there now. */
async function* tailEvents(deps: TenantDeps, owner: LogOwner, place: LogPlace, log: Teller, tail: number): AsyncGenerator<FollowEvent> {
  const { view } = log
  const wanted = async function* () {
    for await (const message of sayMissing(readLog(deps, owner, place), place)) {
      log.skipTo(message.seq)
      yield { ...message, chunks: viewOf(message.chunks, view) }
    }
  }
  try {
    for (const message of await lastLines(wanted(), tail)) yield log.event(message.seq, message.chunks)
    // Where the reader is, also when there is nothing to show: it comes back to this place.
    yield log.event(log.seq(), [])
  } catch (error) {
    yield goneEvent(log, error)
  }
}

/** A log that is no longer kept is said to be so. Any other error is thrown again. */
function goneEvent(log: Teller, error: unknown): FollowEvent {
  if (!(error instanceof RGridError && error.code === 'gone')) throw error
  return log.event(log.seq(), [{ stream: 'system', at: 0, text: `${error.message}\n` }])
}
