import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { crc32 } from 'node:zlib'

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** `length` random characters of base62, without bias. */
function randomText(length: number): string {
  let text = ''
  while (text.length < length) {
    for (const byte of randomBytes(length)) if (byte < 248 && text.length < length) text += BASE62[byte % 62]
  }
  return text
}

/** For what a key is meant; a part of it, so that a person sees which one it is. */
export const KEY_ENVIRONMENTS = ['live', 'test'] as const
/** See KEY_ENVIRONMENTS. */
export type KeyEnvironment = (typeof KEY_ENVIRONMENTS)[number]

const API_KEY = /^(rgrid_(?:live|test)_([0-9A-Za-z]{8})_[0-9A-Za-z]{32})([0-9A-Za-z]{6})$/

/**
 * A new API key `rgrid_<environment>_<prefix>_<secret><checksum>`: 190 bits of secret, of which only the hash is stored;
 * the prefix, by which it is found and shown; and a CRC-32, by which a mistyped key, or a scanner's find, is told apart
 * without asking the database. No character ends a word: a double click takes all of it.
 */
export function newApiKey(environment: KeyEnvironment = 'live'): { key: string; prefix: string } {
  const prefix = randomText(8)
  const body = `rgrid_${environment}_${prefix}_${randomText(32)}`
  return { key: body + checksum(body), prefix }
}

/** The prefix of an API key that is whole; undefined of anything else. */
export function prefixOfApiKey(key: string): string | undefined {
  const [, body, prefix, sum] = API_KEY.exec(key) ?? []
  return body !== undefined && checksum(body) === sum ? prefix : undefined
}

function checksum(body: string): string {
  let rest = crc32(body)
  let text = ''
  for (let i = 0; i < 6; i++) {
    text = BASE62[rest % 62] + text
    rest = Math.floor(rest / 62)
  }
  return text
}

/** Whether two hashes are the same, in a time that does not tell where they differ. */
export function sameHash(a: Buffer, b: Buffer): boolean {
  return a.length === b.length && timingSafeEqual(a, b)
}

/** A new one-time enrolment token. */
export function newEnrolmentToken(): string {
  return `rgrid_enrol_${randomText(40)}`
}

/** A new lease token. */
export function newLeaseToken(): string {
  return randomText(24)
}

/** SHA-256 of a secret of high entropy: enough, and quick to look up. */
export function hashSecret(secret: string): Buffer {
  return createHash('sha256').update(secret).digest()
}
