import { X509Certificate } from 'node:crypto'
import { Type } from '@sinclair/typebox'
import type { TlsOptions } from 'nats'
import { errorText } from '#core/errors.ts'
import { ConfigError } from '#core/service/config.ts'

/** The CA of NATS, as a part of the schema of each process that connects to it. */
export const BusCaEnv = {
  RGRID_NATS_CA: Type.Optional(
    Type.String({
      description: 'certificate (PEM) of the CA that NATS must prove itself by; with it only tls:// addresses are taken. Mostly given as RGRID_NATS_CA_FILE',
    }),
  ),
}

const CERTIFICATE = /-----BEGIN CERTIFICATE-----\r?\n[A-Za-z0-9+/=\r\n]+-----END CERTIFICATE-----/g

/** The certificates of RGRID_NATS_CA and nothing else of it, as nodes are told them; undefined when it is not set. Throws a ConfigError. */
export function busCa(env: { RGRID_NATS_CA?: string | undefined }): string | undefined {
  const text = env.RGRID_NATS_CA
  if (text === undefined) return undefined
  const fault = (what: string) => new ConfigError([`RGRID_NATS_CA is not usable: ${what}`])
  if (text.includes('PRIVATE KEY')) throw fault('it holds a private key; name a file with the certificate of the CA alone')
  const certificates = text.match(CERTIFICATE) ?? []
  if (certificates.length === 0) throw fault('it holds no certificate (-----BEGIN CERTIFICATE-----)')
  for (const certificate of certificates) if (!isCa(certificate)) throw fault('it must hold certificates of CAs, in PEM')
  return `${certificates.join('\n')}\n`
}

function isCa(certificate: string): boolean {
  try {
    return new X509Certificate(certificate).ca
  } catch {
    return false
  }
}

/**
 * How a connection to `url` is secured: undefined, not at all; for `tls://` the server must prove, before a word is said, that it has
 * a certificate of `ca` (without one: of a CA that Node.js knows) for the host of `url`. Throws a ConfigError, with the `name` of the
 * setting, for an address that is not `tls://` although there is a CA.
 */
export function tlsOptions(url: string, ca: string | undefined, name = 'RGRID_NATS_URL'): TlsOptions | undefined {
  // Without it the server's first message comes in plain, and whoever is in between can talk the client out of TLS (docs/adr/0024).
  if (/^tls:\/\//i.test(url)) return { handshakeFirst: true, ...(ca === undefined ? {} : { ca }) }
  if (ca !== undefined) throw new ConfigError([`${name} must begin with tls://, as there is a CA for NATS (RGRID_NATS_CA): nothing is said to it in plain`])
  return undefined
}

/** Codes of OpenSSL (https://docs.openssl.org/3.0/man1/openssl-verification-options/) for a certificate of somebody else. */
const STRANGER: readonly unknown[] = [
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'CERT_SIGNATURE_FAILURE',
]
const NO_TLS: readonly unknown[] = ['ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG', 'EPROTO']

/** What a connection to NATS failed with, in words that say what to do where it is about TLS; `cause` is what the client said. */
export function connectFault(error: unknown, url: string, ca: string | undefined): unknown {
  const { code, chainedError } = error as { code?: unknown; chainedError?: { code?: unknown } }
  const say = (text: string) => new Error(text, { cause: error })
  if (STRANGER.includes(code))
    return say(
      ca === undefined
        ? 'the certificate of NATS is of a CA that is not known here: set RGRID_NATS_CA_FILE to the file with the certificate of its CA'
        : 'the certificate of NATS is not of the CA that it must be of: is RGRID_NATS_CA that of this installation, and is this its NATS?',
    )
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID')
    return say(
      `the certificate of NATS is for another host than its address names: connect by a name that it holds, or make one that holds this. ${errorText(error)}`,
    )
  if (code === 'CERT_HAS_EXPIRED') return say('the certificate of NATS, or its CA, has expired: renew it')
  if (code === 'CERT_NOT_YET_VALID') return say('the certificate of NATS, or its CA, is not valid yet: is the clock right?')
  if (NO_TLS.includes(code)) return say('NATS does not begin with TLS, as tls:// has it: its configuration needs a block tls with handshake_first: true')
  // One that wants TLS first waits, as a client does that wants to be greeted first, and then ends the connection.
  const unspoken = code === 'TIMEOUT' || (code === 'CONNECTION_REFUSED' && chainedError?.code === undefined)
  if (unspoken && tlsOptions(url, undefined) === undefined) return say('NATS says nothing: is it there, and should its address begin with tls://?')
  return error
}
