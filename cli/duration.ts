import { UsageError } from './usage-error.ts'

const SECONDS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600 }

/** `90`, `90s`, `5m`, `1h` → seconds. Throws a UsageError that names the option. */
export function parseSeconds(option: string, value: string): number {
  const match = /^(\d+)([smh]?)$/.exec(value)
  const seconds = match ? Number(match[1]) * (SECONDS[match[2] ?? ''] ?? Number.NaN) : Number.NaN
  if (!Number.isInteger(seconds)) throw new UsageError(`--${option}: "${value}" is no time; say seconds, or 90s, 5m, 1h`)
  return seconds
}

/** A whole number in a range. Throws a UsageError that names the option. */
export function parseCount(option: string, value: string, min: number, max: number): number {
  const count = Number(value)
  if (!/^-?\d+$/.test(value) || count < min || count > max) throw new UsageError(`--${option}: "${value}" is no whole number from ${min} to ${max}`)
  return count
}
