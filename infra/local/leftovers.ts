import { readFileSync } from 'node:fs'
import type Docker from 'dockerode'
import { runCommand } from './command.ts'
import { removeContainer } from './container.ts'
import { SYSTEM_PATH } from './packages.ts'

const UNMOUNT_DEADLINE_MS = 20_000

/**
 * Takes away what the node-runner of a folder leaves that was killed instead of stopped: its jobs' containers and mounted work
 * folders. Their files stay: the next runner reads them and hands the jobs back. Returns what was ended.
 */
export async function clearNode(dir: string, docker: Docker | undefined): Promise<string[]> {
  const folder = `${dir}/`
  const containers = docker ? await removeJobs(docker, folder) : []
  const mounts = findMounts(readFileSync('/proc/self/mountinfo', 'utf8'), folder)
  const options = { env: { ...process.env, PATH: SYSTEM_PATH }, signal: new AbortController().signal, deadlineMs: UNMOUNT_DEADLINE_MS }
  if (mounts.length > 0) await runCommand('umount', ['--', ...mounts], options)
  return [...containers, ...mounts.map((path) => `mount ${path}`)]
}

// A job's container is known by its work folder, whatever node it says it is of.
async function removeJobs(docker: Docker, folder: string): Promise<string[]> {
  const labelled = await docker.listContainers({ all: true, filters: { label: ['rgrid.node'] } })
  const ours = labelled.filter((container) => container.Mounts.some((mount) => mount.Source.startsWith(folder)))
  await Promise.all(ours.map((container) => removeContainer(docker, container.Id, 0)))
  return ours.map((container) => `job container ${container.Names[0]?.slice(1) ?? container.Id}`)
}

/** The mount points below a folder, the deepest first, out of the text of /proc/self/mountinfo (proc(5)). */
export function findMounts(mountinfo: string, folder: string): string[] {
  return mountinfo
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .map((path) => path.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8))))
    .filter((path) => path.startsWith(folder))
    .sort((a, b) => b.length - a.length)
}
