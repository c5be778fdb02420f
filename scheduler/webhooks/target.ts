import { BlockList, isIP, isIPv4 } from 'node:net'
import type { Allowed } from '#core/allow-list.ts'
import type { WebhookTargets } from '#core/webhook-targets.ts'
import type { Resolve } from './resolve.ts'

/** An address that a message must not be sent to; the text is for the owner of the endpoint. */
export class RefusedTargetError extends Error {
  constructor(message: string) {
    super(message)
    this.name = 'RefusedTargetError'
  }
}

/** A receiver with the addresses of its name, asked once: exactly these are connected to, so a name that changes its mind gains nothing. */
export interface Target {
  url: URL
  addresses: string[]
  /** Those among them that the installation allows although they may be private. The agent refuses the others where they are. */
  allowed: string[]
}

/** Looks where a URL leads, and refuses what its scheme and port do not allow there. Throws a RefusedTargetError, or what `resolve` throws. */
export async function findTarget(address: string, rules: WebhookTargets, resolve: Resolve): Promise<Target> {
  const url = URL.canParse(address) ? new URL(address) : undefined
  if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:')) throw new RefusedTargetError('the address is not an http or https URL')
  if (url.username !== '' || url.password !== '') throw new RefusedTargetError('the address holds a user name or password')
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80))
  const isOpenPort = rules.ports.includes(port)
  const entries = rules.allowed.filter((entry) => entry.port === port || (entry.port === undefined && isOpenPort))
  if (!isOpenPort && entries.length === 0) throw new RefusedTargetError(`port ${port} is not one that webhooks are sent to (${rules.ports.join(', ')})`)
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  const addresses = isIP(host) ? [host] : await resolve(host)
  if (addresses.length === 0) throw new Error(`${host} has no address`)
  const own = listOf(entries)
  const allowed = addresses.filter((one) => isIPv4(one) && own.check(one))
  for (const one of addresses) {
    if (allowed.includes(one)) continue
    if (isBeyondUnicast(one)) throw new RefusedTargetError(`${host} leads to ${one}, which is no public address`)
    if (url.protocol === 'http:') throw new RefusedTargetError('the address must be https; plain http goes only to networks in RGRID_WEBHOOK_ALLOW')
    if (!isOpenPort) throw new RefusedTargetError(`port ${port} is not one that webhooks are sent to (${rules.ports.join(', ')})`)
  }
  return { url, addresses, allowed }
}

function listOf(entries: readonly Allowed[]): BlockList {
  const list = new BlockList()
  for (const { cidr } of entries) {
    const [network = '', prefix] = cidr.split('/')
    list.addSubnet(network, Number(prefix), 'ipv4')
  }
  return list
}

// The filtering agent takes what is in no special range for public; of IPv6 only 2000::/3 is given out at all
// (https://www.iana.org/assignments/ipv6-address-space), and ::a.b.c.d, the old form of IPv4 in IPv6, is outside of it.
const GLOBAL_UNICAST = new BlockList()
GLOBAL_UNICAST.addSubnet('2000::', 3, 'ipv6')

function isBeyondUnicast(address: string): boolean {
  return !isIPv4(address) && !GLOBAL_UNICAST.check(address, 'ipv6')
}
