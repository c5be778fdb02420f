import type { FailedBoots } from '#store/machine-counts.ts'

/** So many machines in a row that did not come up are no accident. */
const IN_A_ROW = 3
const SHORTEST_SECONDS = 60
const LONGEST_SECONDS = 3600

/** What machines that do not come up mean for buying. */
export interface BootTrouble {
  /** Nothing is bought for so long; 0: one machine at a time, to see whether it comes up. */
  pauseSeconds: number
  detail: string
}

/**
 * Whether machines fail to come up: then each that is bought costs an hour for nothing. Buying rests for as long again as it has been
 * going on, a minute to an hour, and then one machine is tried. The first that comes up ends it. null: nothing is wrong. Pure.
 */
export function bootTrouble({ count, firstAgoSeconds, lastAgoSeconds, last }: FailedBoots): BootTrouble | null {
  if (count < IN_A_ROW) return null
  const restSeconds = Math.min(LONGEST_SECONDS, Math.max(SHORTEST_SECONDS, firstAgoSeconds - lastAgoSeconds))
  const detail = `${count} machines in a row did not come up${last === null ? '' : `; the last: ${last}`}`
  return { pauseSeconds: Math.max(0, Math.ceil(restSeconds - lastAgoSeconds)), detail }
}
