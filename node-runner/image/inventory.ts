import type Docker from 'dockerode'
import { MAX_NODE_IMAGES } from '#bus/messages/node.ts'
import { imageKey } from '#core/image-name.ts'
import { monotonicMs } from '#core/service/time.ts'
import type { ImageRecord } from './record.ts'

/** The engine is asked so often: it takes a while where it has many. */
const LOOK_EVERY_MS = 20_000
const MAX_KEY_LENGTH = 400

/** What images this machine has. */
export interface Inventory {
  /** Keys of tags and digests, those used last first. */
  list(): Promise<string[]>
  /** One has come or gone: the engine is asked anew. */
  changed(): void
}

/** See the interface. */
export function createInventory(docker: Docker, record: Pick<ImageRecord, 'all'>): Inventory {
  let keys: string[] = []
  let lookAtMs = Number.NEGATIVE_INFINITY
  return {
    async list() {
      if (monotonicMs() < lookAtMs) return keys
      lookAtMs = monotonicMs() + LOOK_EVERY_MS
      const usedAtMs = new Map(record.all().map((image) => [image.id, image.lastUsedMs]))
      const images = (await docker.listImages()).sort((a, b) => (usedAtMs.get(b.Id) ?? 0) - (usedAtMs.get(a.Id) ?? 0))
      const names = images.flatMap((image) => [...(image.RepoTags ?? []), ...(image.RepoDigests ?? [])]).filter((name) => !name.includes('<none>'))
      keys = [...new Set(names.map(imageKey))].filter((key) => key.length <= MAX_KEY_LENGTH).slice(0, MAX_NODE_IMAGES)
      return keys
    },
    changed() {
      lookAtMs = Number.NEGATIVE_INFINITY
    },
  }
}
