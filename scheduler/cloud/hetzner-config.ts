import { type Static, Type } from '@sinclair/typebox'
import { ConfigError } from '#core/service/config.ts'

/** The smallest machines first, and those that are easiest to get; what a project's API does not list is passed over. */
const DEFAULT_TYPES = 'cx23,cx22,cpx22,cax11,cax21,cx33,cpx32,cax31,cx43,cpx42'

/** What the client of Hetzner reads from the environment, as a part of SchedulerEnv (docs/HETZNER.md). */
export const HetznerEnv = {
  RGRID_HCLOUD_TOKEN: Type.Optional(Type.String({ description: 'token of a Hetzner Cloud project, with read and write' })),
  RGRID_HCLOUD_URL: Type.String({ default: 'https://api.hetzner.cloud/v1', description: 'address of the API; plain http only on loopback' }),
  RGRID_HCLOUD_TYPES: Type.String({ default: DEFAULT_TYPES, description: 'server types in the order in which they are tried, separated by commas' }),
  RGRID_HCLOUD_LOCATIONS: Type.String({
    default: 'fsn1,nbg1,hel1',
    description: 'locations in the order in which they are tried for each type, separated by commas',
  }),
  RGRID_HCLOUD_IMAGE: Type.String({ default: 'debian-13', description: 'name of an image, or id of a snapshot, that machines boot' }),
  RGRID_HCLOUD_IMAGE_ARM: Type.Optional(
    Type.String({ description: 'the same for Arm machines; a name is good for both without it, but with a snapshot no Arm machine is bought' }),
  ),
  RGRID_HCLOUD_NETWORK: Type.Optional(Type.String({ description: 'private network of the machines: its name, its id or a label selector' })),
  RGRID_HCLOUD_FIREWALL: Type.Optional(Type.String({ description: 'firewall of the machines: its name, its id or a label selector' })),
  RGRID_HCLOUD_SSH_KEYS: Type.String({
    default: '',
    description: 'names or ids of SSH keys, separated by commas; without any Hetzner makes up a root password, which is thrown away',
  }),
  RGRID_HCLOUD_IPV4: Type.Boolean({ default: true, description: 'whether machines get a public IPv4 address, which is paid for; IPv6 they have always' }),
  RGRID_HCLOUD_SPREAD: Type.Boolean({ default: false, description: 'whether machines are spread over hosts with placement groups, where there is room' }),
  RGRID_HCLOUD_SECONDS: Type.Number({ default: 30, minimum: 1, maximum: 300, description: 'how long one call of the API may take' }),
}
const HetznerSchema = Type.Object(HetznerEnv)

/** See HetznerEnv. */
export type HetznerEnv = Static<typeof HetznerSchema>

/** The same, taken apart. */
export interface HetznerConfig {
  token: string
  url: string
  types: readonly string[]
  locations: readonly string[]
  image: string
  /** Null: no Arm machine can be booted. */
  armImage: string | null
  network: string | null
  firewall: string | null
  sshKeys: readonly string[]
  ipv4: boolean
  spread: boolean
  callMs: number
}

/** Reads what the environment holds. Throws a ConfigError that names every fault, and never shows the token. */
export function hetznerConfig(env: HetznerEnv): HetznerConfig {
  const faults: string[] = []
  const token = env.RGRID_HCLOUD_TOKEN ?? ''
  if (token === '') faults.push('RGRID_HCLOUD_TOKEN is not set: token of a Hetzner Cloud project (or RGRID_HCLOUD_TOKEN_FILE)')
  else if (!/^[\x21-\x7e]+$/.test(token)) faults.push('RGRID_HCLOUD_TOKEN is not usable: it has a character that no token has')
  const fault = urlFault(env.RGRID_HCLOUD_URL)
  if (fault) faults.push(`RGRID_HCLOUD_URL is not usable: ${fault}`)
  const types = listOf(env.RGRID_HCLOUD_TYPES)
  if (types.length === 0) faults.push('RGRID_HCLOUD_TYPES is empty: name at least one server type')
  const locations = listOf(env.RGRID_HCLOUD_LOCATIONS)
  if (locations.length === 0) faults.push('RGRID_HCLOUD_LOCATIONS is empty: name at least one location')
  if (faults.length > 0) throw new ConfigError(faults)
  return {
    token,
    url: env.RGRID_HCLOUD_URL.replace(/\/+$/, ''),
    types,
    locations,
    image: env.RGRID_HCLOUD_IMAGE,
    // A name stands for an image of each architecture; a snapshot's id for one disk.
    armImage: env.RGRID_HCLOUD_IMAGE_ARM ?? (/^\d+$/.test(env.RGRID_HCLOUD_IMAGE) ? null : env.RGRID_HCLOUD_IMAGE),
    network: env.RGRID_HCLOUD_NETWORK ?? null,
    firewall: env.RGRID_HCLOUD_FIREWALL ?? null,
    sshKeys: listOf(env.RGRID_HCLOUD_SSH_KEYS),
    ipv4: env.RGRID_HCLOUD_IPV4,
    spread: env.RGRID_HCLOUD_SPREAD,
    callMs: env.RGRID_HCLOUD_SECONDS * 1000,
  }
}

function urlFault(text: string): string | undefined {
  if (!URL.canParse(text)) return 'it is not an address'
  const url = new URL(text)
  if (url.username || url.password || url.search || url.hash) return 'it must have no credentials, query or fragment'
  if (url.protocol === 'https:') return undefined
  const loopback = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname)
  return url.protocol === 'http:' && loopback ? undefined : 'the token would travel in the clear; it must begin with https://'
}

function listOf(text: string): string[] {
  return [...new Set(text.split(',').map((item) => item.trim()))].filter((item) => item !== '')
}
