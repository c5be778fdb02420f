import { CloudError } from './cloud.ts'
import type { HetznerApi } from './hetzner-api.ts'

/** Ids of what the operator called by name, id or label selector. */
export interface Names {
  network(signal: AbortSignal): Promise<number[]>
  firewalls(signal: AbortSignal): Promise<number[]>
  /** An order was refused: perhaps what the names stood for is gone. */
  forget(): void
}

const KEPT_MS = 600_000

/** Looks names up when they are needed. A name that fits nothing is `refused`: without its firewall no machine is to be bought. */
export function createNames(api: HetznerApi, wanted: { network: string | null; firewall: string | null }, now: () => number): Names {
  const found = new Map<string, { ids: number[]; atMs: number }>()

  async function look(kind: 'networks' | 'firewalls', text: string | null, variable: string, signal: AbortSignal): Promise<number[]> {
    if (text === null) return []
    if (/^\d+$/.test(text)) return [Number(text)]
    const before = found.get(kind)
    if (before && now() - before.atMs < KEPT_MS) return before.ids
    // No name has one of these, and each selector that means a value has.
    const query = /[=!(,]/.test(text) ? { label_selector: text } : { name: text }
    const ids = (await api.named(kind, query, signal)).map(({ id }) => id)
    if (ids.length === 0) throw new CloudError('refused', 'no_such_name', `${variable}: there is nothing that ${text} fits`)
    found.set(kind, { ids, atMs: now() })
    return ids
  }

  return {
    async network(signal) {
      const ids = await look('networks', wanted.network, 'RGRID_HCLOUD_NETWORK', signal)
      if (ids.length > 1) throw new CloudError('refused', 'ambiguous_name', `RGRID_HCLOUD_NETWORK: ${ids.length} networks fit; a machine is in one`)
      return ids
    },
    firewalls: (signal) => look('firewalls', wanted.firewall, 'RGRID_HCLOUD_FIREWALL', signal),
    forget: () => found.clear(),
  }
}
