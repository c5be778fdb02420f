import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import type { DatabasePool } from '#store/pool.ts'
import { popularImages } from '#store/popular-images.ts'

/** A node that has just come is told to bring so many. */
const MOST = 8
const EVERY_MS = 60_000

/** What many jobs use, looked up now and then: each scheduler keeps its own list. */
export interface PopularImages {
  /** References, the most used first. */
  list(): readonly string[]
  loop: Loop
}

/** See the interface. */
export function createPopularImages(db: DatabasePool, log: Log): PopularImages {
  let images: readonly string[] = []
  return {
    list: () => images,
    loop: createLoop({
      name: 'popular-images',
      everyMs: EVERY_MS,
      log,
      async round() {
        images = await popularImages(db, MOST)
      },
    }),
  }
}
