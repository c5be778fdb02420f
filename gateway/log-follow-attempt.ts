import { createLogOrder } from '#bus/log-order.ts'
import { type LogTail, tailLog } from '#bus/log-tail.ts'
import type { LogMessage } from '#bus/messages/log.ts'
import { RGridError } from '#core/errors.ts'
import { monotonicMs } from '#core/service/time.ts'
import { type LogPlace, readLogPlaces } from '#store/job-query.ts'
import type { Bell } from './bell.ts'
import type { GatewayDeps } from './deps.ts'
import { type FollowEvent, type JobWatch, LOOK_EVERY_MS } from './log-follow.ts'
import { type LogOwner, readLog } from './log-read.ts'

/** How long after the end of an attempt its last log messages may still come over the bus. */
const LATE_MS = 5000

/** The log of one attempt from the message after `afterSeq` until it is complete, with the job's changes between. */
export async function* followAttempt(
  deps: GatewayDeps,
  owner: LogOwner,
  first: LogPlace,
  afterSeq: number,
  watch: JobWatch,
  signal: AbortSignal,
): AsyncGenerator<FollowEvent> {
  const { number } = first
  let place = first
  let seq = afterSeq
  const logEvents = function* (messages: Iterable<LogMessage>): Generator<FollowEvent> {
    for (const message of messages) {
      seq = message.seq
      if (message.chunks.length > 0) yield { event: 'log', id: `${number}.${seq}`, data: { attempt: number, seq, chunks: message.chunks } }
    }
  }
  if (isSettled(place)) return yield* settledEvents(deps, owner, place, seq)

  const order = createLogOrder(seq)
  const intake = startIntake(await tailLog(deps.bus, place.nodeId, place.attemptId), watch.bell)
  let lookedAtMs = monotonicMs()
  try {
    while (!signal.aborted) {
      const message = intake.take()
      if (message) {
        const ready = order.accept(message)
        yield* logEvents(ready)
        if (ready.some((one) => one.end)) return
      }
      const waitMs = lookedAtMs + (place.finishedMsAgo === null ? LOOK_EVERY_MS : LATE_MS / 10) - monotonicMs()
      if (waitMs > 0 && !watch.hinted()) {
        if (!message) await watch.bell.wait(waitMs, signal)
        continue
      }
      lookedAtMs = monotonicMs()
      const { changed } = await watch.look()
      if (changed) yield changed
      place = (await readLogPlaces(deps.db, owner.jobId, number))[0] ?? place
      if (place.logSeq !== null && seq >= place.logSeq) return
      if (isSettled(place)) {
        // What the bus did not bring yet is in the archive; an attempt that was lost has none, and no more of it will come.
        if (place.archived) yield* settledEvents(deps, owner, place, seq)
        else yield* logEvents(order.rest())
        return
      }
    }
  } finally {
    await intake.close()
  }
}

/** Whether nothing will be added to the log that is not there now. An archive is written before the end is reported. */
function isSettled(place: LogPlace): boolean {
  if (place.archived) return true
  return place.finishedMsAgo !== null && place.finishedMsAgo > LATE_MS
}

async function* settledEvents(deps: GatewayDeps, owner: LogOwner, place: LogPlace, afterSeq: number): AsyncGenerator<FollowEvent> {
  let seq = afterSeq
  const event = (chunks: LogMessage['chunks']): FollowEvent => ({
    event: 'log',
    id: `${place.number}.${seq}`,
    data: { attempt: place.number, seq, chunks },
  })
  try {
    for await (const message of readLog(deps, owner, place)) {
      if (message.seq <= seq || message.chunks.length === 0) continue
      seq = message.seq
      yield event(message.chunks)
    }
  } catch (error) {
    if (!(error instanceof RGridError && error.code === 'gone')) throw error
    yield event([{ stream: 'system', at: 0, text: `${error.message}\n` }])
  }
}

interface Intake {
  /** A message that has come, in the order of the stream; the bell rings for the next one. Throws when the tail broke. */
  take(): LogMessage | undefined
  close(): Promise<void>
}

/** Asks the tail for one message at a time, so that it fills no queue of its own. */
function startIntake(tail: LogTail, bell: Bell): Intake {
  const messages = tail.messages[Symbol.asyncIterator]()
  let arrived: LogMessage | undefined
  let broken: Error | undefined
  let closed = false
  const ask = () => {
    messages.next().then(
      (next) => {
        if (next.done) broken = new Error('the live log ended')
        else arrived = next.value.message
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
      const message = arrived
      if (!message && broken && !closed) throw broken
      if (message) {
        arrived = undefined
        ask()
      }
      return message
    },
    async close() {
      closed = true
      await tail.close()
    },
  }
}
