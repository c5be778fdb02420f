import type { Leftover } from './cloud.ts'
import type { HetznerApi } from './hetzner-api.ts'
import type { HetznerAddress, HetznerServer } from './hetzner-schema.ts'

/** The addresses of our servers, and those that stayed behind when their server went. */
export interface Addresses {
  /** Is told of every server that was seen. */
  saw(server: HetznerServer): void
  /** Is told that servers went, so that there is something to look for. */
  went(): void
  /** Asks Hetzner when a server went since the last time, at most every LOOK_MS, and else once an hour. */
  leftovers(signal: AbortSignal): Promise<Leftover[]>
  removed(id: string): void
}

const LOOK_MS = 600_000
const ANYWAY_MS = 3_600_000

/**
 * Addresses that Hetzner makes with a server go with it (`auto_delete`), have no label and a name of their own. Ours are known by
 * the server they were seen at; one that would not go with its server is told to, and gets our label, so that it is known after a
 * restart too. What belongs to others in the project is never touched.
 */
export function createAddresses(api: HetznerApi, installation: string, now: () => number): Addresses {
  const known = new Set<number>()
  let left: Leftover[] = []
  let lookedAtMs = Number.NEGATIVE_INFINITY
  let stale = true

  const labelled = (address: HetznerAddress) => address.labels['rgrid-installation'] === installation

  async function look(signal: AbortSignal): Promise<void> {
    const addresses = await api.addresses(signal)
    const present = new Set(addresses.map(({ id }) => id))
    for (const id of known) if (!present.has(id)) known.delete(id)
    left = []
    for (const address of addresses) {
      if (!labelled(address) && !known.has(address.id)) continue
      if (address.assignee_id === null) {
        left.push({ kind: 'address', id: String(address.id), name: address.name, createdAtMs: Date.parse(address.created) })
      } else if (!address.auto_delete) {
        await api.labelAddress(address.id, { ...address.labels, 'rgrid-installation': installation }, signal)
      }
    }
  }

  return {
    saw({ public_net: { ipv4, ipv6 } }) {
      for (const id of [ipv4?.id, ipv6?.id]) if (id) known.add(id)
    },
    went() {
      stale = true
    },
    async leftovers(signal) {
      const age = now() - lookedAtMs
      if (age >= ANYWAY_MS || (stale && age >= LOOK_MS)) {
        await look(signal)
        lookedAtMs = now()
        stale = left.length > 0
      }
      return left
    },
    removed(id) {
      left = left.filter((one) => one.id !== id)
    },
  }
}
