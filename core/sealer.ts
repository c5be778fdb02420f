import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { Type } from '@sinclair/typebox'

/** Seals texts so that only who has the keys can read them, and only in the place they were sealed for. */
export interface Sealer {
  /** `v1.<key id>.<nonce>.<ciphertext and tag>`. `context` names the place: what is moved to another does not open. */
  seal(text: string, context: string): string
  /** Throws a SealError when it was sealed with an unknown key, for another place, or was changed. */
  open(sealed: string, context: string): string
  /** The same text sealed with the first key; undefined when it is already. */
  reseal(sealed: string, context: string): string | undefined
}

/** What was sealed cannot be opened; the message holds nothing of it. */
export class SealError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'SealError'
  }
}

const ALGORITHM = 'aes-256-gcm'
const KEY_BYTES = 32
// NIST SP 800-38D, 8.2: a random nonce of 96 bits, for far fewer than 2^32 texts by one key.
const NONCE_BYTES = 12
const TAG_BYTES = 16

/** What RGRID_SECRET_KEYS looks like. */
export const SECRET_KEYS_PATTERN = '^[A-Za-z0-9_-]{1,32}:[A-Za-z0-9+/]{43}=(,[A-Za-z0-9_-]{1,32}:[A-Za-z0-9+/]{43}=)*$'

/** The variable that has the keys; part of the schema of each process that seals or opens. */
export const SealerEnv = {
  RGRID_SECRET_KEYS: Type.String({
    pattern: SECRET_KEYS_PATTERN,
    description:
      'keys that seal what is secret in the database: id:base64 of 32 bytes, separated by commas; the first seals, all open (node store/admin.ts secret-key makes one)',
  }),
}

/** A new key as one entry of RGRID_SECRET_KEYS. */
export function newSecretKey(id: string): string {
  return `${id}:${randomBytes(KEY_BYTES).toString('base64')}`
}

/**
 * A sealer of `id:base64 of 32 bytes`, separated by commas: the first key seals, all of them open. AES-256-GCM with the
 * context as additional data. Throws when that is not what the text is.
 */
export function createSealer(keys: string): Sealer {
  if (!new RegExp(SECRET_KEYS_PATTERN).test(keys)) throw new Error('RGRID_SECRET_KEYS must be id:base64 of 32 bytes, separated by commas')
  const ring = new Map(
    keys.split(',').map((entry) => [entry.slice(0, entry.indexOf(':')), Buffer.from(entry.slice(entry.indexOf(':') + 1), 'base64')] as const),
  )
  const [firstId, firstKey] = [...ring][0] as [string, Buffer]

  function open(sealed: string, context: string): string {
    const [version, keyId = '', nonce = '', body = '', ...rest] = sealed.split('.')
    const bytes = Buffer.from(body, 'base64url')
    if (version !== 'v1' || rest.length > 0 || bytes.length < TAG_BYTES) throw new SealError('it is not sealed as it should be')
    const key = ring.get(keyId)
    if (!key) throw new SealError(`it is sealed with the key "${keyId}", which RGRID_SECRET_KEYS does not have`)
    const decipher = createDecipheriv(ALGORITHM, key, Buffer.from(nonce, 'base64url'), { authTagLength: TAG_BYTES })
    decipher.setAAD(Buffer.from(context))
    decipher.setAuthTag(bytes.subarray(-TAG_BYTES))
    try {
      return Buffer.concat([decipher.update(bytes.subarray(0, -TAG_BYTES)), decipher.final()]).toString('utf8')
    } catch {
      throw new SealError('it was sealed for another place, or with another key of this name, or was changed')
    }
  }

  function seal(text: string, context: string): string {
    const nonce = randomBytes(NONCE_BYTES)
    const cipher = createCipheriv(ALGORITHM, firstKey, nonce, { authTagLength: TAG_BYTES })
    cipher.setAAD(Buffer.from(context))
    const body = Buffer.concat([cipher.update(text, 'utf8'), cipher.final(), cipher.getAuthTag()])
    return `v1.${firstId}.${nonce.toString('base64url')}.${body.toString('base64url')}`
  }

  return {
    seal,
    open,
    reseal: (sealed, context) => (sealed.startsWith(`v1.${firstId}.`) ? undefined : seal(open(sealed, context), context)),
  }
}
