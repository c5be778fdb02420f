const MICRON_DIGITS = 6

/**
 * A price as Hetzner writes it (`0.0080000000`, in the account's currency) in whole microns, without a float in between. What is
 * less than a micron is rounded up, so that nothing ever costs more than was said. Undefined when the text is no price.
 */
export function parseMicrons(decimal: string): number | undefined {
  const parts = /^(\d{1,9})(?:\.(\d{1,30}))?$/.exec(decimal)
  if (!parts) return undefined
  const [, whole = '', fraction = ''] = parts
  const microns = Number(`${whole}${fraction.slice(0, MICRON_DIGITS).padEnd(MICRON_DIGITS, '0')}`)
  return /[1-9]/.test(fraction.slice(MICRON_DIGITS)) ? microns + 1 : microns
}
