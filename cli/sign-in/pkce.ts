import { createHash, randomBytes } from 'node:crypto'

/** What proves that who brings the code is who asked for it (RFC 7636): only the challenge goes through the browser. */
export interface Pkce {
  verifier: string
  /** SHA-256 of the verifier, base64url (method S256). */
  challenge: string
}

/** A fresh one. */
export function createPkce(): Pkce {
  const verifier = randomWord()
  return { verifier, challenge: createHash('sha256').update(verifier).digest('base64url') }
}

/** 256 random bits that may stand in a URL. */
export function randomWord(): string {
  return randomBytes(32).toString('base64url')
}
