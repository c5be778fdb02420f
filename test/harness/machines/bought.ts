import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { bootProcesses } from '../hetzner/boot-process.ts'
import { type HetznerStandIn, startHetzner } from '../hetzner/stand-in.ts'
import { type Platform, startPlatform } from '../platform.ts'

/** A platform whose machines are bought at the stand-in of Hetzner, each a real node-runner. */
export interface BoughtPlatform extends Platform {
  standIn: HetznerStandIn
}

/** Machines of 2 slots, 3 at most, which go soon after they have nothing to do. */
const SETTINGS = {
  RGRID_CLOUD: 'hetzner',
  RGRID_INSTALLATION: 'rehearsal',
  RGRID_HCLOUD_TYPES: 'cx23',
  RGRID_HCLOUD_LOCATIONS: 'fsn1,nbg1,hel1',
  RGRID_MAX_NODES: '3',
  RGRID_NODE_KEEP: 'idle',
  RGRID_NODE_IDLE_SECONDS: '3',
  RGRID_PLAN_SECONDS: '0.5',
  RGRID_SCALE_COOLDOWN_SECONDS: '0',
}

/** Starts both, with servers of their own. Call `stop` in the end. */
export async function startBoughtPlatform(env: Record<string, string> = {}): Promise<BoughtPlatform> {
  const dir = mkdtempSync(join(tmpdir(), 'rgrid-bought-'))
  const standIn = await startHetzner({ createMs: 300, startMs: 300, deleteMs: 300, bootMs: 1000, boot: bootProcesses({ dir }) })
  const end = async () => {
    await standIn.stop()
    rmSync(dir, { recursive: true, force: true })
  }
  try {
    const platform = await startPlatform({ ...SETTINGS, RGRID_HCLOUD_URL: standIn.url, RGRID_HCLOUD_TOKEN: standIn.token, ...env }, true)
    // The scheduler first: it would buy again what is gone.
    return { ...platform, standIn, stop: () => platform.stop().finally(end) }
  } catch (error) {
    await end()
    throw error
  }
}
