import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Static, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import { writeDurably } from './files.ts'
import type { Workspace } from './steps/workspace.ts'

const Lease = Type.Object({ attemptId: Type.String(), leaseToken: Type.String() })
/** What an attempt is reported with. */
export type Lease = Static<typeof Lease>

const NAME = 'lease.json'

/** Writes down that an attempt was taken, so that a runner that starts again knows of it. */
export async function rememberLease(workspace: Workspace, { attemptId, leaseToken }: Lease): Promise<void> {
  await writeDurably(join(workspace.dir, NAME), JSON.stringify({ attemptId, leaseToken }))
}

/** The lease of an attempt of an earlier run; undefined when it was not written down whole. */
export async function readLease(workspace: Workspace): Promise<Lease | undefined> {
  const value: unknown = await readFile(join(workspace.dir, NAME), 'utf8').then(JSON.parse, () => undefined)
  return Value.Check(Lease, value) ? value : undefined
}
