import { randomBytes } from 'node:crypto'

/** The kinds of id; the prefix is part of the id and tells the kind wherever it is printed. */
export const ID_PREFIXES = {
  account: 'acc',
  project: 'proj',
  apiKey: 'key',
  job: 'job',
  batch: 'batch',
  attempt: 'att',
  node: 'node',
  file: 'file',
  artifact: 'art',
  enrolmentToken: 'enr',
  webhook: 'wh',
  user: 'user',
  secret: 'sec',
} as const

/** A kind of object that has ids. */
export type IdKind = keyof typeof ID_PREFIXES

const CROCKFORD = '0123456789abcdefghjkmnpqrstvwxyz'

/**
 * A new id such as `job_01jd8k3v9q…`: the prefix, 10 characters of milliseconds and 16 of randomness (80 bits),
 * Crockford base32 in lower case. Ids of one kind sort by the millisecond they were made in (layout of ULID).
 */
export function newId(kind: IdKind, nowMs: number = Date.now()): string {
  let time = ''
  let rest = nowMs
  for (let i = 0; i < 10; i++) {
    time = CROCKFORD[rest % 32] + time
    rest = Math.floor(rest / 32)
  }
  let random = ''
  for (const byte of randomBytes(16)) random += CROCKFORD[byte % 32]
  return `${ID_PREFIXES[kind]}_${time}${random}`
}

/** The regular expression source that every id of this kind matches; for schemas. */
export function idPattern(kind: IdKind): string {
  return `^${ID_PREFIXES[kind]}_[0-9a-hjkmnp-tv-z]{26}$`
}
