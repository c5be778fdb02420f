import { createLogOrder } from '#bus/log-order.ts'
import { type LogTail, tailLog } from '#bus/log-tail.ts'
import type { LogMessage } from '#bus/messages/log.ts'
import { RGridError } from '#core/errors.ts'
import { monotonicMs } from '#core/service/time.ts'
import { type LogPlace, readLogPlaces } from '#store/job-query.ts'
import type { Bell } from './bell.ts'
import type { GatewayDeps } from './deps.ts'
import { type FollowEvent, type FollowStart, formatPosition, type JobWatch, LOOK_EVERY_MS } from './log-follow.ts'
import { type LogOwner, readLog } from './log-read.ts'
import { type LogView, lastLines, missingPart, viewOf } from './log-view.ts'

/** How long after the end of an attempt its last log messages may still come over the bus. */
const LATE_MS = 5000
/** An archived log goes on out of the archive when the bus has brought nothing of it for so long. */
const QUIET_MS = 300

/** The log of one attempt from where the reader wants it until it is complete, with the job's changes between. */
export async function* followAttempt(
  deps: GatewayDeps,
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
        yield* log.tell(ready)
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
      else yield* log.tell(order.rest())
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

/** Makes events of messages that come in order, and knows the number of the last one. */
interface Teller {
  /** What the reader wants to see. */
  view: LogView
  seq(): number
  tell(messages: Iterable<LogMessage>): Generator<FollowEvent>
  /** Everything up to this number was seen. */
  skipTo(seq: number): void
  /** Everything in the stream up to this position was read. */
  moveTo(position: number): void
  event(seq: number, chunks: LogMessage['chunks']): FollowEvent
}

function createTeller(attempt: number, start: FollowStart): Teller {
  let { seq, position } = start
  const event = (number: number, chunks: LogMessage['chunks']): FollowEvent => ({
    event: 'log',
    id: formatPosition({ attempt, seq: number, position }),
    data: { attempt, seq: number, chunks },
  })
  return {
    view: start,
    seq: () => seq,
    event,
    skipTo(number) {
      seq = Math.max(seq, number)
    },
    moveTo(at) {
      position = at
    },
    *tell(messages) {
      for (const message of messages) {
        if (message.seq <= seq) continue
        if (message.seq > seq + 1) yield event(seq, [missingPart(message.chunks[0]?.at ?? 0)])
        seq = message.seq
        const chunks = viewOf(message.chunks, start)
        if (chunks.length > 0) yield event(seq, chunks)
      }
    },
  }
}

async function* settledEvents(deps: GatewayDeps, owner: LogOwner, place: LogPlace, log: Teller): AsyncGenerator<FollowEvent> {
  try {
    for await (const message of readLog(deps, owner, place)) yield* log.tell([message])
  } catch (error) {
    yield goneEvent(log, error)
  }
}

/** The last lines of what is there now. */
async function* tailEvents(deps: GatewayDeps, owner: LogOwner, place: LogPlace, log: Teller, tail: number): AsyncGenerator<FollowEvent> {
  const { view } = log
  const wanted = async function* () {
    for await (const message of readLog(deps, owner, place)) {
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

interface Arrived {
  position: number
  message: LogMessage
}

interface Intake {
  /** A message that has come, in the order of the stream; the bell rings for the next one. Throws when the tail broke. */
  take(): Arrived | undefined
  close(): Promise<void>
}

/** Asks the tail for one message at a time, so that it fills no queue of its own. */
function startIntake(tail: LogTail, bell: Bell): Intake {
  const messages = tail.messages[Symbol.asyncIterator]()
  let arrived: Arrived | undefined
  let broken: Error | undefined
  let closed = false
  const ask = () => {
    messages.next().then(
      (next) => {
        if (next.done) broken = new Error('the live log ended')
        else arrived = next.value
        bell.ring()
      },
      (error: Error) => {
        broken = error
        bell.ring()
      },
    )
  }
  ask()
  return {
    take() {
      const taken = arrived
      if (!taken && broken && !closed) throw broken
      if (taken) {
        arrived = undefined
        ask()
      }
      return taken
    },
    async close() {
      closed = true
      await tail.close()
    },
  }
}
