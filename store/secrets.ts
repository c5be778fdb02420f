import { createHash, randomBytes } from 'node:crypto'

const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'

/** `length` random characters of base62, without bias. */
function randomText(length: number): string {
  let text = ''
  while (text.length < length) {
    for (const byte of randomBytes(length)) if (byte < 248 && text.length < length) text += BASE62[byte % 62]
  }
  return text
}

/** A new API key `rgrid_live_<prefix>_<secret>` (190 bits of secret). Only its hash is stored. */
export function newApiKey(): { key: string; prefix: string } {
  const prefix = randomText(8)
  return { key: `rgrid_live_${prefix}_${randomText(32)}`, prefix }
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
