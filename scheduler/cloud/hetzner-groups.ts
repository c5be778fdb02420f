import { CloudError } from './cloud.ts'
import type { HetznerApi } from './hetzner-api.ts'

/** Spread placement groups: servers of one stand on different hosts, so that few nodes are lost with a host. */
export interface Groups {
  /** The id of a group with room for one more at the location, made if need be; null when no more can be made. */
  pick(location: string, signal: AbortSignal): Promise<number | null>
}

/** https://docs.hetzner.com/cloud/placement-groups/overview: ten servers a group, fifty groups a project. */
const MAX_SERVERS = 10
/** So long the list of groups is good; what was put into them since is counted. */
const KEPT_MS = 60_000

interface Group {
  id: number
  location: string
  servers: number
}

/** Keeps groups named `rgrid-<installation>-<location>-<number>`, with the installation's label. */
export function createGroups(api: HetznerApi, installation: string, now: () => number): Groups {
  const labels = { 'rgrid-installation': installation }
  let groups: Group[] = []
  let readAtMs = Number.NEGATIVE_INFINITY
  let names = new Set<string>()

  async function refresh(signal: AbortSignal): Promise<void> {
    if (now() - readAtMs < KEPT_MS) return
    const found = await api.groups(`rgrid-installation=${installation}`, signal)
    names = new Set(found.map(({ name }) => name))
    groups = found.map((group) => ({ id: group.id, location: group.labels['rgrid-location'] ?? '', servers: group.servers.length }))
    readAtMs = now()
  }

  async function make(location: string, signal: AbortSignal): Promise<Group | null> {
    let number = 1
    const nameOf = () => `rgrid-${installation}-${location}-${number}`
    while (names.has(nameOf())) number++
    try {
      const { id, name } = await api.createGroup(nameOf(), { ...labels, 'rgrid-location': location }, signal)
      names.add(name)
      const group = { id, location, servers: 0 }
      groups.push(group)
      return group
    } catch (error) {
      // Spreading is a wish: a machine beside another one is better than none.
      if (error instanceof CloudError && error.kind !== 'refused') {
        readAtMs = Number.NEGATIVE_INFINITY
        return null
      }
      throw error
    }
  }

  return {
    async pick(location, signal) {
      await refresh(signal)
      const group = groups.find((one) => one.location === location && one.servers < MAX_SERVERS) ?? (await make(location, signal))
      if (!group) return null
      group.servers++
      return group.id
    },
  }
}
