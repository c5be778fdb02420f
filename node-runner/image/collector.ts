import { statfs } from 'node:fs/promises'
import type Docker from 'dockerode'
import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import type { ImageRecord, PulledImage } from './record.ts'

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
    const names = await namesOf(docker, image.id)
    if (!names) {
      // Gone, by whoever's hand.
      await record.removed(image.id)
      continue
    }
    // Somebody else has given it a name of their own, or a container has it.
    if (!names.every((name) => isOurs(name, image)) || (await isUsed(docker, image.id))) continue
    // Asked last: a job may have begun meanwhile.
    if (image.references.some((reference) => options.wanted().has(reference))) continue
    try {
      for (const name of names.length > 0 ? names : [image.id]) await removeName(docker, name)
      await record.removed(image.id)
      removed.push(...image.references)
    } catch (error) {
      // In use after all: it is tried again the next time.
      log.debug({ images: image.references, error: errorText(error) }, 'an image could not be removed')
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
  // As df(1) reckons: what is kept for root counts neither as used nor as free.
  const used = disk.blocks - disk.bfree
  return (100 * used) / (used + disk.bavail)
}

async function isUsed(docker: Docker, imageId: string): Promise<boolean> {
  return (await docker.listContainers({ all: true, filters: { ancestor: [imageId] } })).length > 0
}

/** What the engine calls an image: tags and digests; undefined when it has none of that id. */
async function namesOf(docker: Docker, imageId: string): Promise<string[] | undefined> {
  try {
    const { RepoTags, RepoDigests } = await docker.getImage(imageId).inspect()
    return [...(RepoTags ?? []), ...(RepoDigests ?? [])]
  } catch (error) {
    if ((error as { statusCode?: number }).statusCode === 404) return undefined
    throw error
  }
}

/** A tag that was pulled, or the digest of a repository that was pulled from. */
function isOurs(name: string, image: PulledImage): boolean {
  const repository = (text: string) => text.replace(/@.*$/, '').replace(/:[^:/]*$/, '')
  return image.references.some(
    (reference) => reference === name || `${reference}:latest` === name || (name.includes('@') && repository(name) === repository(reference)),
  )
}

/** Without force, so that the engine refuses what is in use. Gone is as wanted. */
async function removeName(docker: Docker, name: string): Promise<void> {
  await docker
    .getImage(name)
    .remove()
    .catch((error: { statusCode?: number }) => {
      if (error.statusCode !== 404) throw error
    })
}
