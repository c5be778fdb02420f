import { errorText } from '../errors.ts'
import type { Log } from './log.ts'
import type { Service } from './run.ts'
import { pause } from './time.ts'

/** A service that does one thing again and again. */
export interface Loop extends Service {
  /** Runs the next round now instead of after the pause; calls during a round cause one more. */
  kick(): void
}

/** What a loop does and how often. */
export interface LoopOptions {
  name: string
  /** The pause between two rounds, in milliseconds; ± 10 % so that several instances do not march in step. */
  everyMs: number
  log: Log
  /** One round. It must tolerate being killed at any await. A throw is logged and the next round comes all the same. */
  round(signal: AbortSignal): Promise<void>
}

/** Makes a loop; `stop` waits for the round that is under way. */
export function createLoop(options: LoopOptions): Loop {
  const stopping = new AbortController()
  let wake = new AbortController()
  let running: Promise<void> | undefined

  async function run(): Promise<void> {
    while (!stopping.signal.aborted) {
      wake = new AbortController()
      try {
        await options.round(stopping.signal)
      } catch (error) {
        if (!stopping.signal.aborted) options.log.warn({ loop: options.name, error: errorText(error) }, 'a round failed; trying again')
      }
      await pause(options.everyMs * (0.9 + Math.random() * 0.2), AbortSignal.any([stopping.signal, wake.signal]))
    }
  }

  return {
    name: options.name,
    async start() {
      running ??= run()
    },
    async stop() {
      stopping.abort()
      await running
    },
    kick() {
      wake.abort()
    },
  }
}
