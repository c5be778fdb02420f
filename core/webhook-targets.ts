import { BlockList, isIP, isIPv4 } from 'node:net'
import { type Static, Type } from '@sinclair/typebox'
import { type Allowed, parseAllowList, parsePorts } from './allow-list.ts'

/** The variables that say where webhooks may go; the same for gateway and scheduler. */
export const WebhookEnv = {
  RGRID_WEBHOOK_PORTS: Type.String({ default: '80,443,8080,8443', description: 'ports that webhooks are sent to, separated by commas' }),
  RGRID_WEBHOOK_ALLOW: Type.String({
    default: '',
    description:
      'networks of your own that webhooks may reach although they are private, also over plain http: ip, ip/prefix or either with :port (then that port too), separated by commas',
  }),
}
const Variables = Type.Object(WebhookEnv)

/** Where webhooks may go: these ports of the internet, and what the installation allows of its own networks. */
export interface WebhookTargets {
  ports: readonly number[]
  allowed: readonly Allowed[]
}

/** Where webhooks may go, out of the environment. Throws a ConfigError. */
export function webhookTargets(env: Static<typeof Variables>): WebhookTargets {
  return { ports: parsePorts('RGRID_WEBHOOK_PORTS', env.RGRID_WEBHOOK_PORTS), allowed: parseAllowList('RGRID_WEBHOOK_ALLOW', env.RGRID_WEBHOOK_ALLOW) }
}

/** The longest address. */
export const MAX_WEBHOOK_URL = 2048

/**
 * What is wrong with an address, as far as it can be seen in it; undefined when nothing is. Where a name leads is seen only
 * when a message is sent, and looked at then each time.
 */
export function webhookUrlFault(text: string, targets: WebhookTargets): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (!url || text.length > MAX_WEBHOOK_URL) return `must be an https address of at most ${MAX_WEBHOOK_URL} characters`
  const own = targets.allowed.length > 0
  if (url.protocol !== 'https:' && !(own && url.protocol === 'http:')) return 'must begin with https://'
  if (url.username !== '' || url.password !== '') return 'must hold no user name and no password; a message is known by its signature'
  if (url.hash !== '') return 'must hold no fragment (#…), which is never sent'
  const port = Number(url.port || (url.protocol === 'https:' ? 443 : 80))
  const entries = targets.allowed.filter((entry) => entry.port === undefined || entry.port === port)
  if (!targets.ports.includes(port) && !entries.some((entry) => entry.port === port))
    return `port ${port} is not one that webhooks are sent to (${targets.ports.join(', ')})`
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
  if (isIP(host) === 0 || listOf(entries.map(({ cidr }) => cidr)).check(host, isIPv4(host) ? 'ipv4' : 'ipv6')) return undefined
  if (isPublic(host)) return url.protocol === 'http:' ? 'must begin with https://' : undefined
  return `${host} is no public address (private, loopback, link-local, metadata or reserved)`
}

/** Ranges of IPv4 that are not of the internet (https://www.iana.org/assignments/iana-ipv4-special-registry). */
const SPECIAL_IPV4 = listOf([
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.0.0.0/24',
  '192.0.2.0/24',
  '192.88.99.0/24',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '198.51.100.0/24',
  '203.0.113.0/24',
  '224.0.0.0/3',
])

/** Of IPv6 only 2000::/3 is given out; of that, what holds an IPv4 address (Teredo, 6to4) and documentation is not for receivers. */
function isPublic(host: string): boolean {
  if (isIPv4(host)) return !SPECIAL_IPV4.check(host)
  const given = new BlockList()
  given.addSubnet('2000::', 3, 'ipv6')
  const special = new BlockList()
  for (const [network, prefix] of [
    ['2001::', 23],
    ['2001:db8::', 32],
    ['2002::', 16],
  ] as const)
    special.addSubnet(network, prefix, 'ipv6')
  return given.check(host, 'ipv6') && !special.check(host, 'ipv6')
}

function listOf(cidrs: readonly string[]): BlockList {
  const list = new BlockList()
  for (const cidr of cidrs) {
    const [network = '', prefix] = cidr.split('/')
    list.addSubnet(network, Number(prefix), 'ipv4')
  }
  return list
}
