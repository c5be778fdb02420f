import type Docker from 'dockerode'
import { untilAborted } from '#core/service/time.ts'
import type { ImageRecord } from '../image/record.ts'
import { StepError } from '../step-error.ts'

/** An image that is on the machine. */
export interface LocalImage {
  id: string
  /** What it is, whatever the name says tomorrow: the registry's digest, or the id of an image built here. */
  digest: string
}

/** Brings images to the machine; pulls of the same one share the download. */
export interface Images {
  /** Throws a StepError with cause `image`. */
  ensure(reference: string, signal: AbortSignal): Promise<LocalImage>
  /** References that are being brought, or looked at, now. */
  wanted(): ReadonlySet<string>
}

/** See the interface. Pulls and uses are noted in `record`. */
export function createImages(docker: Docker, record: Pick<ImageRecord, 'pulled' | 'used'>): Images {
  const pulls = new Map<string, Promise<void>>()
  const wanted = new Map<string, number>()

  async function inspect(reference: string): Promise<LocalImage | undefined> {
    try {
      const found = await docker.getImage(reference).inspect()
      return { id: found.Id, digest: found.RepoDigests?.[0] ?? found.Id }
    } catch (error) {
      if ((error as { statusCode?: number }).statusCode === 404) return undefined
      throw error
    }
  }

  return {
    wanted: () => new Set(wanted.keys()),
    async ensure(reference, signal) {
      wanted.set(reference, (wanted.get(reference) ?? 0) + 1)
      try {
        return await bring(reference, signal)
      } finally {
        const left = (wanted.get(reference) ?? 1) - 1
        if (left > 0) wanted.set(reference, left)
        else wanted.delete(reference)
      }
    },
  }

  async function bring(reference: string, signal: AbortSignal): Promise<LocalImage> {
    const local = await inspect(reference)
    if (local) {
      // Not waited for: it is only a hint of what is used, and the job need not wait for the disk.
      void record.used(local.id).catch(() => undefined)
      return local
    }
    const pull = pulls.get(reference) ?? pullImage(docker, reference).finally(() => pulls.delete(reference))
    pulls.set(reference, pull)
    await untilAborted(pull, signal)
    const pulled = await inspect(reference)
    if (!pulled) throw new StepError('image', `${reference} was pulled and is not there`, { transient: true })
    await record.pulled(reference, pulled.id)
    return pulled
  }
}

async function pullImage(docker: Docker, reference: string): Promise<void> {
  try {
    const stream = await docker.createImage({ fromImage: withTag(reference) })
    // Errors come inside a stream that began with 200.
    await new Promise<void>((resolve, reject) => {
      docker.modem.followProgress(stream, (error: Error | null, output: { error?: string }[]) => {
        const failed = error?.message ?? output.find((line) => line.error)?.error
        if (failed) reject(new Error(failed))
        else resolve()
      })
    })
  } catch (error) {
    const text = error instanceof Error ? error.message : String(error)
    const permanent = /not found|manifest unknown|does not exist|denied|unauthorized|invalid reference|no matching manifest/i.test(text)
    throw new StepError('image', `${reference} cannot be pulled: ${text.trim()}`, { transient: !permanent })
  }
}

function withTag(reference: string): string {
  const last = reference.split('/').at(-1) ?? ''
  return last.includes(':') || last.includes('@') ? reference : `${reference}:latest`
}
