import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { imageName } from '#core/image-name.ts'
import type { Log } from '#core/service/log.ts'
import { writeWhole } from '../files.ts'

const PulledImage = Type.Object({
  id: Type.String(),
  references: Type.Array(Type.String()),
  lastUsedMs: Type.Integer(),
  /** Whether its registry gave it for credentials only, as far as is known. */
  private: Type.Optional(Type.Boolean()),
})
/** An image that this runner brought to the machine, by the names that it asked for. */
export type PulledImage = Static<typeof PulledImage>

const Images = Type.Array(PulledImage)
const WRITE_AFTER_MS = 60_000

/** Which images this runner has pulled, and when each was used last; kept in a file. The engine itself tells neither. */
export interface ImageRecord {
  all(): PulledImage[]
  /** Notes, before a pull, that it is made with credentials: the engine may end it though nobody waits any more. */
  pulling(reference: string): Promise<void>
  /** Notes a pull, and whether it took credentials. What was once given without is public. */
  pulled(reference: string, id: string, withLogin?: boolean): Promise<void>
  /** Whether only those may use it who can pull it themselves; `names` are what the engine calls it. */
  isPrivate(id: string, names: readonly string[]): boolean
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

  const privatePath = join(dir, 'private-images.json')
  const asked = new Set(await readReferences(privatePath))

  // One at a time: two writers would share a file.
  let writing = Promise.resolve()
  const save = () => {
    writing = writing.then(() => writeWhole(path, JSON.stringify([...images.values()])))
    return writing
  }

  return {
    all: () => [...images.values()],
    async pulling(reference) {
      if (asked.has(fullName(reference))) return
      asked.add(fullName(reference))
      writing = writing.then(() => writeWhole(privatePath, JSON.stringify([...asked])))
      await writing
    },
    async pulled(reference, id, withLogin = false) {
      const known = images.get(id)
      const names = new Set([...(known?.references ?? []), reference])
      const isPrivate = withLogin && (known === undefined || known.private === true)
      images.set(id, { id, references: [...names], lastUsedMs: nowMs(), ...(isPrivate ? { private: true } : {}) })
      await save()
    },
    isPrivate(id, names) {
      const image = images.get(id)
      return image ? image.private === true : names.some((name) => asked.has(fullName(name)))
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

/** The reference with all that may be left out. */
function fullName(reference: string): string {
  const { repository } = imageName(reference)
  const rest = /(?:@|:[^:/@]*(?:@|$)).*$/.exec(reference)?.[0] ?? ':latest'
  return repository + rest
}

/** Fails where it cannot be read: what it names would be given to anybody. */
async function readReferences(path: string): Promise<string[]> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error
    return '[]'
  })
  return Value.Decode(Type.Array(Type.String()), JSON.parse(text))
}

function parse(text: string): PulledImage[] | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return Value.Check(Images, value) ? value : undefined
  } catch {
    return undefined
  }
}
