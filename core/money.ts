/** Money is whole microns: 1 EUR = 1,000,000. */
export const MICRONS = 1_000_000

/** What a job takes at most, in seconds, beside what its spec says: to be given to a node, and for its outputs to be kept. */
const SLACK_SECONDS = 300

/** The parts of a spec that its price depends on. */
export interface Priced {
  slots: number
  timeoutSeconds: number
  prepareTimeoutSeconds: number
  gracePeriodSeconds: number
  retries: number
}

/**
 * The most that one attempt of a job, and the job with all its retries, can cost, in microns, when an hour of a slot costs
 * so much. What is charged is never more (store/attempt-end.ts).
 */
export function worstCase(spec: Priced, slotHourMicrons: number): { attemptMicrons: number; jobMicrons: number } {
  const seconds = spec.prepareTimeoutSeconds + spec.timeoutSeconds + spec.gracePeriodSeconds + SLACK_SECONDS
  const attemptMicrons = Math.ceil((seconds * spec.slots * slotHourMicrons) / 3600)
  return { attemptMicrons, jobMicrons: attemptMicrons * (1 + spec.retries) }
}

/** Microns as people read them: `12.34 EUR`, with more digits where it would be nothing. */
export function formatMicrons(microns: number): string {
  const euros = microns / MICRONS
  return `${euros.toFixed(Math.abs(euros) >= 0.01 || microns === 0 ? 2 : 6)} EUR`
}
