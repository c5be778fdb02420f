import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import type { Service } from '#core/service/run.ts'
import type { Images } from '../steps/image.ts'

/** What bringing images beforehand needs. */
export interface WarmerOptions {
  images: Pick<Images, 'ensure'>
  log: Log
  /** Whether the disk has room for more. */
  hasRoom(): Promise<boolean>
}

/** Brings images that jobs are likely to want, one at a time, each tried once. No job waits for it: a job that wants the same shares the pull. */
export interface Warmer extends Service {
  want(references: readonly string[]): void
}

/** See the interface. */
export function createWarmer({ images, log, hasRoom }: WarmerOptions): Warmer {
  const stopping = new AbortController()
  const tried = new Set<string>()
  let queue = Promise.resolve()

  async function bring(reference: string): Promise<void> {
    if (stopping.signal.aborted || !(await hasRoom())) return
    try {
      await images.ensure(reference, stopping.signal)
      log.info({ images: [reference] }, 'an image was brought beforehand')
    } catch (error) {
      if (!stopping.signal.aborted)
        log.warn({ images: [reference], error: errorText(error) }, 'an image could not be brought beforehand; the job that wants it tries again')
    }
  }

  return {
    name: 'image-warmer',
    want(references) {
      for (const reference of references) {
        if (tried.has(reference)) continue
        tried.add(reference)
        queue = queue.then(() => bring(reference))
      }
    },
    async start() {},
    async stop() {
      stopping.abort(new Error('the runner stops'))
      await queue
    },
  }
}
