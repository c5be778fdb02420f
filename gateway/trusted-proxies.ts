import { isIP, isIPv4 } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { ConfigError } from '#core/service/config.ts'

/** Reads `10.0.0.5,172.16.0.0/12,::1`, the value of RGRID_TRUSTED_PROXIES. Throws a ConfigError that names each entry that is wrong. */
export function parseTrustedProxies(text: string | undefined): string[] {
  const entries = (text ?? '')
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
  const faults = entries.flatMap((entry) => faultOf(entry) ?? []).map((fault) => `RGRID_TRUSTED_PROXIES: ${fault}`)
  if (faults.length > 0) throw new ConfigError(faults)
  return entries
}

function faultOf(entry: string): string | undefined {
  const [, address = '', prefix] = /^([^/%]+)(?:\/(\d{1,3}))?$/.exec(entry) ?? []
  if (isIP(address) === 0 || Number(prefix ?? 1) > (isIPv4(address) ? 32 : 128)) return `"${entry}" is not an address or a range, such as 172.16.0.0/12`
  return Number(prefix ?? 1) === 0 ? `"${entry}" is everybody, so that anybody could say any address` : undefined
}

/**
 * The address that a request came from: of its connection, or, where that is of a trusted proxy, the last one in X-Forwarded-For that is not.
 * What a proxy says that is no address is not believed.
 */
export function clientAddress(request: FastifyRequest): string {
  return isIP(request.ip) === 0 ? (request.socket.remoteAddress ?? '') : request.ip
}
