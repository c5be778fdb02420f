import type { LogTail } from '#bus/log-tail.ts'
import type { LogMessage } from '#bus/messages/log.ts'
import type { Bell } from '../bell.ts'

/** A message that has come, and where it was in the stream. */
export interface Arrived {
  position: number
  message: LogMessage
}

/** What a follower hears of a live log. */
export interface Intake {
  /** A message that has come, in the order of the stream; the bell rings for the next one. Throws when the tail broke. */
  take(): Arrived | undefined
  close(): Promise<void>
}

/** Asks the tail for one message at a time, so that it fills no queue of its own. */
export function startIntake(tail: LogTail, bell: Bell): Intake {
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
