import { mkdir, open, rm, rmdir } from 'node:fs/promises'
import { join } from 'node:path'
import { CommandError, runCommand } from '../command.ts'
import { JOB_UID } from '../docker/options.ts'

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
 * Makes the work folder: a sparse file with an ext4 file system, loop-mounted. So the disk limit is exact (the job
 * sees "no space left on device"), and nothing the job makes can lie outside.
 */
export async function createWorkspace(workspace: Workspace, diskBytes: number): Promise<void> {
  await mkdir(workspace.workDir, { recursive: true, mode: 0o700 })
  const image = join(workspace.dir, 'disk.img')
  const file = await open(image, 'w', 0o600)
  await file.truncate(diskBytes)
  await file.close()
  const owner = `root_owner=${JOB_UID}:${JOB_UID}`
  await runCommand('mkfs.ext4', ['-q', '-F', '-m', '0', '-O', '^has_journal', '-E', `${owner},lazy_itable_init=1,nodiscard`, image])
  await runCommand('mount', ['-o', 'loop,nodev,nosuid,noatime', '-t', 'ext4', image, workspace.workDir])
  await rmdir(join(workspace.workDir, 'lost+found'))
}

/** Takes everything of an attempt away, also what is half made. */
export async function removeWorkspace(workspace: Workspace): Promise<void> {
  await runCommand('umount', [workspace.workDir]).catch(async (error: unknown) => {
    if (!(error instanceof CommandError) || /not mounted|no mount point|not found/i.test(error.message)) return
    // Something still looks into it; it goes when that does.
    await runCommand('umount', ['-l', workspace.workDir])
  })
  await rm(workspace.dir, { recursive: true, force: true })
}
