import { mkdir, open, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { formatBytes } from '#core/job/quantity.ts'
import { CommandError, runCommand } from '../command.ts'
import { JOB_UID } from '../docker/options.ts'
import { StepError } from '../step-error.ts'

const IMAGE = 'disk.img'

/** The folders of an attempt on the machine. */
export interface Workspace {
  /** Belongs to the runner: log, assignment. */
  dir: string
  /** The job's work folder: a file system of its own, of exactly the size it asked for. */
  workDir: string
}

/** Where an attempt's folders are. */
export function workspaceOf(nodeDir: string, attemptId: string): Workspace {
  const dir = join(nodeDir, 'attempts', attemptId)
  return { dir, workDir: join(dir, 'work') }
}

/**
 * Makes the work folder: a file with an ext4 file system, loop-mounted. So the disk limit is exact (the job sees "no
 * space left on device"), and nothing the job makes can lie outside. The file's blocks are reserved: a machine whose disk
 * is full refuses the job here, instead of failing its writes later as if they were its own fault.
 */
export async function createWorkspace(workspace: Workspace, diskBytes: number): Promise<void> {
  await mkdir(workspace.workDir, { recursive: true, mode: 0o700 })
  const image = join(workspace.dir, IMAGE)
  const file = await open(image, 'w', 0o600)
  await file.truncate(diskBytes)
  await file.close()
  await runCommand('fallocate', ['-l', String(diskBytes), image]).catch((error: unknown) => {
    if (error instanceof CommandError && /no space left/i.test(error.message))
      throw new StepError('runner_error', `this node has no ${formatBytes(diskBytes)} of disk left for the work folder`, { transient: true })
    // A file system that cannot reserve: the file stays sparse.
    if (!(error instanceof CommandError && /not supported/i.test(error.message))) throw error
  })
  const owner = `root_owner=${JOB_UID}:${JOB_UID}`
  await runCommand('mkfs.ext4', ['-q', '-F', '-m', '0', '-O', '^has_journal', '-E', `${owner},lazy_itable_init=1,nodiscard`, image])
  await runCommand('mount', ['-o', 'loop,nodev,nosuid,noatime', '-t', 'ext4', image, workspace.workDir])
  await rmdir(join(workspace.workDir, 'lost+found'))
}

/** Takes everything of an attempt away, also what is half made. */
export async function removeWorkspace(workspace: Workspace): Promise<void> {
  await removeWorkDir(workspace)
  await rm(workspace.dir, { recursive: true, force: true })
}

/** Takes the job's work folder away; what the runner keeps of the attempt stays. */
export async function removeWorkDir(workspace: Workspace): Promise<void> {
  await runCommand('umount', [workspace.workDir]).catch(async (error: unknown) => {
    if (!(error instanceof CommandError) || /not mounted|no mount point|not found/i.test(error.message)) return
    // Something still looks into it; it goes when that does.
    await runCommand('umount', ['-l', workspace.workDir])
  })
  await rm(workspace.workDir, { recursive: true, force: true })
  await rm(join(workspace.dir, IMAGE), { force: true })
}
