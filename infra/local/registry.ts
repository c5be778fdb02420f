import type Docker from 'dockerode'
import { followOutput } from './image-build.ts'
import { say } from './progress.ts'
import type { Settings } from './settings.ts'

const ANSWER_DEADLINE_MS = 15_000
const PULL_DEADLINE_MS = 600_000

/** Pulls an image; false when no registry answers or it has no such image. */
export type Pull = (image: string) => Promise<boolean>

/**
 * Pulls official images. The first pull finds out whether a registry can be reached; the others wait for it, and
 * after an answer that never came no more are tried.
 */
export function createPuller(settings: Settings, docker: Docker, signal: AbortSignal): Pull {
  let reachable = settings.pull === 'auto'
  let first: Promise<boolean> | undefined

  async function attempt(image: string): Promise<boolean> {
    const silence = new AbortController()
    const timer = setTimeout(() => silence.abort(new Error('no answer')), ANSWER_DEADLINE_MS)
    try {
      const limit = AbortSignal.any([signal, silence.signal, AbortSignal.timeout(PULL_DEADLINE_MS)])
      // The engine answers this call only once the registry has answered the engine.
      const stream = await docker.pull(image, { abortSignal: limit })
      clearTimeout(timer)
      say(`image ${image}: pulling`)
      await followOutput(docker, stream, `pulling ${image}`)
      say(`image ${image}: pulled`)
      return true
    } catch (error) {
      signal.throwIfAborted()
      const status = (error as { statusCode?: number }).statusCode
      if (status !== 404) reachable = false
      const reason = (error as Error).message.trim().replace(/^.*server error - /, '')
      say(`image ${image} ${status === 404 ? 'is not in the registry' : `cannot be pulled (${reason})`}: images are built from Debian's packages instead`)
      return false
    } finally {
      clearTimeout(timer)
    }
  }

  return async (image) => {
    if (!reachable) return false
    if (!first) {
      first = attempt(image)
      return await first
    }
    await first.catch(() => undefined)
    return reachable ? await attempt(image) : false
  }
}
