import type { Allowed } from '#core/allow-list.ts'

/**
 * Ranges no job may reach: this network, private (RFC 1918), carrier-grade NAT, loopback, link-local with the metadata
 * address, benchmarks, multicast and reserved (https://www.iana.org/assignments/iana-ipv4-special-registry).
 */
export const REFUSED_RANGES = [
  '0.0.0.0/8',
  '10.0.0.0/8',
  '100.64.0.0/10',
  '127.0.0.0/8',
  '169.254.0.0/16',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '198.18.0.0/15',
  '224.0.0.0/4',
  '240.0.0.0/4',
]

/** The chains of one node's bridge. */
export interface Chains {
  forward: string
  input: string
}

/**
 * The rules for a bridge as input for `iptables-restore --noflush`, which replaces both chains at once. `forward` is
 * jumped to from DOCKER-USER and refuses ranges; `input` refuses the machine itself, which DOCKER-USER never sees.
 * Name servers in refused ranges stay reachable on port 53, as names are looked up from inside the container.
 */
export function egressRules(chains: Chains, allowed: readonly Allowed[], nameServers: readonly string[], hostAddresses: readonly string[]): string {
  const established = (chain: string) => `-A ${chain} -m conntrack --ctstate ESTABLISHED,RELATED -j RETURN`
  const exceptions = (chain: string) => [
    ...allowed.flatMap(({ cidr, port }) =>
      port === undefined
        ? [`-A ${chain} -d ${cidr} -j RETURN`]
        : ['tcp', 'udp'].map((protocol) => `-A ${chain} -d ${cidr} -p ${protocol} --dport ${port} -j RETURN`),
    ),
    ...nameServers.flatMap((server) => ['tcp', 'udp'].map((protocol) => `-A ${chain} -d ${server}/32 -p ${protocol} --dport 53 -j RETURN`)),
  ]
  return [
    '*filter',
    `:${chains.forward} - [0:0]`,
    `:${chains.input} - [0:0]`,
    established(chains.forward),
    ...exceptions(chains.forward),
    ...[...REFUSED_RANGES, ...hostAddresses.map((address) => `${address}/32`)].map((range) => `-A ${chains.forward} -d ${range} -j REJECT`),
    established(chains.input),
    ...exceptions(chains.input),
    `-A ${chains.input} -j REJECT`,
    'COMMIT',
    '',
  ].join('\n')
}

/** The packets that the rules of a chain refused, of what `iptables -nvxL` prints: packets, bytes, target, … */
export function refusedIn(listing: string): number {
  return [...listing.matchAll(/^\s*(\d+)\s+\d+\s+REJECT\s/gm)].reduce((sum, match) => sum + Number(match[1]), 0)
}
