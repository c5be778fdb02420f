import { statfs } from 'node:fs/promises'
import type Docker from 'dockerode'
import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import type { ImageRecord } from './record.ts'

const EVERY_MS = 60_000

/** What collecting images needs. */
export interface ImageCollectorOptions {
  docker: Docker
  record: ImageRecord
  /** How full the disk of the images may be, in percent. */
  maxPercent: number
  /** How full it is. */
  usedPercent(): Promise<number>
  /** References of images that attempts want now. */
  wanted(): ReadonlySet<string>
  log: Log
}

/** Removes images again and again while the disk is too full. */
export function createImageCollector(options: ImageCollectorOptions): Loop {
  return createLoop({ name: 'image-collector', everyMs: EVERY_MS, log: options.log, round: async () => void (await collectImages(options)) })
}

/**
 * While the disk is fuller than it may be, removes images that this runner pulled, the one that was used longest ago first.
 * Never one of a container or of an attempt that is being prepared, nor one that it did not pull. Returns what it removed.
 */
export async function collectImages(options: ImageCollectorOptions): Promise<string[]> {
  const { docker, record, log } = options
  const removed: string[] = []
  for (const image of record.all().sort((a, b) => a.lastUsedMs - b.lastUsedMs)) {
    if ((await options.usedPercent()) <= options.maxPercent) break
    // Asked anew for each: a job may have begun meanwhile.
    if (options.wanted().has(image.reference) || (await isUsed(docker, image.id))) continue
    try {
      await removeImage(docker, image.id)
      await record.removed(image.id)
      removed.push(image.reference)
    } catch (error) {
      // In use after all, or tagged by somebody else: it is tried again the next time.
      log.debug({ image: image.reference, error: errorText(error) }, 'an image could not be removed')
    }
  }
  if (removed.length > 0) log.info({ removed }, 'images removed: the disk was too full')
  return removed
}

/** How full the disk is that the engine keeps its images on, in percent; that of `dir`, where a runner in a container does not see it. */
export async function imageDiskPercent(docker: Docker, dir: string): Promise<number> {
  const { DockerRootDir } = (await docker.info()) as { DockerRootDir: string }
  const disk = await statfs(DockerRootDir).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return statfs(dir)
  })
  return 100 * (1 - disk.bavail / disk.blocks)
}

async function isUsed(docker: Docker, imageId: string): Promise<boolean> {
  return (await docker.listContainers({ all: true, filters: { ancestor: [imageId] } })).length > 0
}

/** Each of its names, then the image: without force, so that the engine refuses what is in use. Gone is as wanted. */
async function removeImage(docker: Docker, imageId: string): Promise<void> {
  try {
    const { RepoTags, RepoDigests } = await docker.getImage(imageId).inspect()
    const names = [...(RepoTags ?? []), ...(RepoDigests ?? [])]
    for (const name of names.length > 0 ? names : [imageId]) await removeName(docker, name)
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode !== 404) throw error
  }
}

async function removeName(docker: Docker, name: string): Promise<void> {
  await docker
    .getImage(name)
    .remove()
    .catch((error: { statusCode?: number }) => {
      if (error.statusCode !== 404) throw error
    })
}
