import type Docker from 'dockerode'
import { errorText } from '#core/errors.ts'
import type { Log } from '#core/service/log.ts'
import { createLoop, type Loop } from '#core/service/loop.ts'
import { LABELS } from './docker/options.ts'
import { attemptFolders } from './resume.ts'
import { removeContainer } from './steps/container.ts'
import { removeWorkspace, workspaceOf } from './steps/workspace.ts'

const EVERY_MS = 30_000

/** What the sweep needs to know. */
export interface HousekeepingOptions {
  docker: Docker
  nodeId: string
  dir: string
  log: Log
  /** Attempts that this runner has in its hands. */
  owned(): ReadonlySet<string>
}

/** Attempts whose containers the engine has, of this node. */
export async function listContainers(docker: Docker, nodeId: string): Promise<string[]> {
  const found = await docker.listContainers({ all: true, filters: { label: [`${LABELS.node}=${nodeId}`] } })
  return found.map((container) => container.Labels[LABELS.attempt] ?? '').filter((attemptId) => attemptId !== '')
}

/** Takes away, again and again, what nobody on this node owns: containers, networks, work folders. */
export function createHousekeeping(options: HousekeepingOptions): Loop {
  return createLoop({ name: 'housekeeping', everyMs: EVERY_MS, log: options.log, round: () => sweepLeftovers(options) })
}

/** One round: goes past what cannot be removed. Whose a thing is is asked after it was listed, as it may be new. */
export async function sweepLeftovers(options: HousekeepingOptions): Promise<void> {
  const removed = [...(await sweepContainers(options)), ...(await sweepNetworks(options)), ...(await sweepFolders(options))]
  if (removed.length > 0) options.log.warn({ removed }, 'removed what nobody owned')
}

async function sweepContainers({ docker, dir, log, owned, nodeId }: HousekeepingOptions): Promise<string[]> {
  // By folder and not by node: a runner that has a new identity takes away what it left under the old one.
  const found = await docker.listContainers({ all: true, filters: { label: [`${LABELS.dir}=${dir}`] } })
  const attempts = owned()
  const orphans = found.filter(({ Labels }) => Labels[LABELS.node] !== nodeId || !attempts.has((Labels[LABELS.attempt] ?? '').replace(/-requirements$/, '')))
  return removeEach(orphans, log, async ({ Id, Names }) => {
    await removeContainer(docker.getContainer(Id))
    return `container ${Names[0]?.slice(1) ?? Id}`
  })
}

async function sweepNetworks({ docker, dir, log, nodeId }: HousekeepingOptions): Promise<string[]> {
  const found = await docker.listNetworks({ filters: { label: [`${LABELS.dir}=${dir}`] } })
  const orphans = found.filter(({ Labels }) => Labels?.[LABELS.node] !== nodeId)
  return removeEach(orphans, log, async ({ Id, Name }) => {
    await docker.getNetwork(Id).remove()
    return `network ${Name}`
  })
}

async function sweepFolders({ dir, log, owned }: HousekeepingOptions): Promise<string[]> {
  const folders = await attemptFolders(dir)
  const attempts = owned()
  return removeEach(
    folders.filter((attemptId) => !attempts.has(attemptId)),
    log,
    async (attemptId) => {
      await removeWorkspace(workspaceOf(dir, attemptId))
      return `work folder ${attemptId}`
    },
  )
}

async function removeEach<T>(things: readonly T[], log: Log, remove: (thing: T) => Promise<string>): Promise<string[]> {
  const removed: string[] = []
  for (const thing of things) {
    try {
      removed.push(await remove(thing))
    } catch (error) {
      log.warn({ error: errorText(error) }, 'something that nobody owns could not be removed; trying again')
    }
  }
  return removed
}
