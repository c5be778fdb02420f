import { accessSync, constants, statfsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { Type } from '@sinclair/typebox'
import { errorText } from '#core/errors.ts'
import { ConfigError } from '#core/service/config.ts'
import type { GatewayEnv } from '../config.ts'

const MAX_SPOOL_BYTES = 8 * 2 ** 30
/** What small batches need, which wait in memory. */
const MIN_SPOOL_BYTES = 64 * 2 ** 20

/** How the gateway takes batches; part of its environment. */
export const BulkEnv = {
  RGRID_BODY_IDLE_SECONDS: Type.Integer({
    default: 30,
    minimum: 1,
    maximum: 3600,
    description: 'a batch of which nothing more comes for so long is given up (408)',
  }),
  RGRID_SPOOL_DIR: Type.Optional(
    Type.String({ description: 'folder on a disk in which large batches wait until they have come whole; without it the one for temporary files (TMPDIR)' }),
  ),
  RGRID_SPOOL_BYTES: Type.Optional(
    Type.Integer({
      minimum: 2 ** 20,
      description: 'so much of batches may wait there; without it half of what is free there when the gateway starts, at most 8 GiB',
    }),
  ),
}

/** The same, read. */
export interface BulkOptions {
  idleMs: number
  spoolDir: string
  spoolBytes: number
}

/** Reads it from the environment. Throws a ConfigError when the folder cannot be used. */
export function bulkOptions(env: Pick<GatewayEnv, 'RGRID_BODY_IDLE_SECONDS' | 'RGRID_SPOOL_DIR' | 'RGRID_SPOOL_BYTES'>): BulkOptions {
  const spoolDir = env.RGRID_SPOOL_DIR ?? tmpdir()
  const free = freeBytes(spoolDir)
  const half = Math.max(MIN_SPOOL_BYTES, Math.min(MAX_SPOOL_BYTES, Math.floor(free / 2)))
  return { idleMs: env.RGRID_BODY_IDLE_SECONDS * 1000, spoolDir, spoolBytes: env.RGRID_SPOOL_BYTES ?? half }
}

function freeBytes(folder: string): number {
  try {
    accessSync(folder, constants.W_OK | constants.X_OK)
    const { bavail, bsize } = statfsSync(folder)
    return bavail * bsize
  } catch (error) {
    throw new ConfigError([`RGRID_SPOOL_DIR: ${folder} cannot be written: ${errorText(error)}`])
  }
}
