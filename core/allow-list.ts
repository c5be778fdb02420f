import { isIPv4 } from 'node:net'
import { ConfigError } from './service/config.ts'

/** An address, or range, that is reachable although it is private; `port` undefined: every port. */
export interface Allowed {
  cidr: string
  port: number | undefined
}

/** Reads `10.0.0.5,10.1.0.0/16:5432`, the value of the variable `name`. Throws a ConfigError that names the entry. */
export function parseAllowList(name: string, text: string): Allowed[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
    .map((entry) => {
      const match = /^([\d.]+)(?:\/(\d{1,2}))?(?::(\d{1,5}))?$/.exec(entry)
      const prefix = Number(match?.[2] ?? 32)
      const port = match?.[3] === undefined ? undefined : Number(match[3])
      if (!match?.[1] || !isIPv4(match[1]) || prefix > 32 || port === 0 || (port ?? 1) > 65_535)
        throw new ConfigError([`${name}: "${entry}" is not ip, ip/prefix, ip:port or ip/prefix:port (IPv4)`])
      return { cidr: `${match[1]}/${prefix}`, port }
    })
}

/** Reads `80,443`, the value of the variable `name`. Throws a ConfigError that names the entry. */
export function parsePorts(name: string, text: string): number[] {
  return text
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
    .map((entry) => {
      const port = /^\d{1,5}$/.test(entry) ? Number(entry) : 0
      if (port < 1 || port > 65_535) throw new ConfigError([`${name}: "${entry}" is not a port from 1 to 65535`])
      return port
    })
}
