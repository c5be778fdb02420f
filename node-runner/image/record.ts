import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type { Log } from '#core/service/log.ts'
import { writeWhole } from '../files.ts'

const PulledImage = Type.Object({ id: Type.String(), references: Type.Array(Type.String()), lastUsedMs: Type.Integer() })
/** An image that this runner brought to the machine, by the names that it asked for. */
export type PulledImage = Static<typeof PulledImage>

const Images = Type.Array(PulledImage)
const WRITE_AFTER_MS = 60_000

/** Which images this runner has pulled, and when each was used last; kept in a file. The engine itself tells neither. */
export interface ImageRecord {
  all(): PulledImage[]
  /** Notes a pull. */
  pulled(reference: string, id: string): Promise<void>
  /** Notes a use; of an image that was not pulled by this runner nothing is noted. */
  used(id: string): Promise<void>
  removed(id: string): Promise<void>
}

/** Reads the file in `dir`. One that cannot be read counts as empty: what is not known is never removed. */
export async function openImageRecord(dir: string, log: Log, nowMs: () => number): Promise<ImageRecord> {
  const path = join(dir, 'images.json')
  const images = new Map<string, PulledImage>()
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return '[]'
  })
  const stored = parse(text)
  if (!stored) log.warn({ path }, 'which images were pulled cannot be read: those on the machine now are left alone')
  for (const image of stored ?? []) images.set(image.id, image)

  // One at a time: two writers would share a file.
  let writing = Promise.resolve()
  const save = () => {
    writing = writing.then(() => writeWhole(path, JSON.stringify([...images.values()])))
    return writing
  }

  return {
    all: () => [...images.values()],
    async pulled(reference, id) {
      const names = new Set([...(images.get(id)?.references ?? []), reference])
      images.set(id, { id, references: [...names], lastUsedMs: nowMs() })
      await save()
    },
    async used(id) {
      const image = images.get(id)
      if (!image) return
      const sinceMs = nowMs() - image.lastUsedMs
      image.lastUsedMs = nowMs()
      // Kept to the minute: a node that runs a job a second need not write each time.
      if (sinceMs >= WRITE_AFTER_MS) await save()
    },
    async removed(id) {
      if (images.delete(id)) await save()
    },
  }
}

function parse(text: string): PulledImage[] | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return Value.Check(Images, value) ? value : undefined
  } catch {
    return undefined
  }
}
