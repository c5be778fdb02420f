import { createRemoteJWKSet, customFetch, type JWTVerifyGetKey, type RemoteJWKSet } from 'jose'
import { RGridError } from '#core/errors.ts'
import type { AskIssuer } from './ask-issuer.ts'

/** When keys are fetched; all in milliseconds. */
export interface KeySetTiming {
  /** After a fetch, a key that is not known causes no other for so long. */
  cooldownMs: number
  /** How long keys are good while the issuer does not answer. */
  maxAgeMs: number
}

/** The public keys of one issuer. */
export interface KeySet {
  /** The key for a token. Throws `unavailable` when there are no keys to look in, else what jose throws. */
  key: JWTVerifyGetKey
  /** Fetches them anew; when that fails, those that are there stay. */
  reload(): Promise<void>
}

/** Keys from the address that `findUrl` tells. Nothing in a token has a say in where they come from. */
export function createKeySet(findUrl: () => Promise<string>, ask: AskIssuer, timing: KeySetTiming): KeySet {
  let opened: RemoteJWKSet | undefined
  const open = async () => {
    const url = await findUrl()
    opened ??= createRemoteJWKSet(new URL(url), {
      cooldownDuration: timing.cooldownMs,
      cacheMaxAge: timing.maxAgeMs,
      [customFetch]: async (address) => Response.json(await ask(address)),
    })
    return opened
  }
  return {
    async key(header, token) {
      try {
        return await (await open())(header, token)
      } catch (error) {
        // With keys at hand it is the token's fault, also when asking for newer ones failed.
        if (opened?.fresh) throw error
        throw new RGridError('unavailable', 'the issuer of this token does not answer at the moment; try again', { cause: error })
      }
    },
    async reload() {
      await (await open()).reload()
    },
  }
}
