import { nowMs } from '#core/service/time.ts'
import { UsageError } from './usage-error.ts'

const SECONDS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 }

/** `90`, `90s`, `5m`, `1h`, `2d` → seconds. Throws a UsageError that names the option. */
export function parseSeconds(option: string, value: string): number {
  const match = /^(\d+)([smhd]?)$/.exec(value)
  const seconds = match ? Number(match[1]) * (SECONDS[match[2] ?? ''] ?? Number.NaN) : Number.NaN
  if (!Number.isInteger(seconds)) throw new UsageError(`--${option}: "${value}" is no time; say seconds, or 90s, 5m, 1h, 2d`)
  return seconds
}

/** A whole number in a range. Throws a UsageError that names the option. */
export function parseCount(option: string, value: string, min: number, max: number): number {
  const count = Number(value)
  if (!/^-?\d+$/.test(value) || count < min || count > max) throw new UsageError(`--${option}: "${value}" is no whole number from ${min} to ${max}`)
  return count
}

/** `10m` (so long ago) or an RFC 3339 time → RFC 3339 in UTC. Throws a UsageError that names the option. */
export function parseTime(option: string, value: string): string {
  if (/^\d+[smhd]$/.test(value)) return new Date(nowMs() - parseSeconds(option, value) * 1000).toISOString()
  const atMs = /^\d{4}-\d\d-\d\d/.test(value) ? Date.parse(value) : Number.NaN
  if (Number.isNaN(atMs)) throw new UsageError(`--${option}: "${value}" is no time; say how long ago (10m, 2h, 1d) or a time such as 2026-11-23T10:00:00Z`)
  return new Date(atMs).toISOString()
}
