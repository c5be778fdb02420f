import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { runCommand } from './command.ts'
import { step } from './progress.ts'

/** Debian's packages that bring the commands this bring-up calls. */
const PACKAGE_OF: Readonly<Record<string, string>> = {
  dockerd: 'docker.io',
  docker: 'docker-cli',
  iptables: 'iptables',
  'mkfs.ext4': 'e2fsprogs',
  losetup: 'mount',
  mmdebstrap: 'mmdebstrap',
  ip: 'iproute2',
  hcloud: 'hcloud-cli',
}

/** Commands that live in sbin are found although a user's PATH may lack it. */
export const SYSTEM_PATH = `${process.env.PATH ?? ''}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin`

let updated: Promise<string> | undefined
let queue: Promise<unknown> = Promise.resolve()

/** Installs, through apt-get, the packages of those commands that are missing. Throws where that cannot be done. */
export function ensureCommands(commands: readonly string[], signal: AbortSignal): Promise<void> {
  // One at a time: apt-get holds a lock.
  const result = queue.then(() => installMissing(commands, signal))
  queue = result.catch(() => undefined)
  return result
}

async function installMissing(commands: readonly string[], signal: AbortSignal): Promise<void> {
  const missing = commands.filter((command) => !findCommand(command))
  if (missing.length === 0) return
  const packages = missing.map((command) => PACKAGE_OF[command] ?? command)
  if (!findCommand('apt-get')) throw new Error(`${missing.join(', ')} missing, and there is no apt-get to install ${packages.join(', ')}`)
  await step(`packages ${packages.join(', ')}`, async () => {
    const env = { ...process.env, PATH: SYSTEM_PATH, DEBIAN_FRONTEND: 'noninteractive' }
    const options = { env, signal, deadlineMs: 300_000 }
    updated ??= runCommand('apt-get', ['update', '-q', '-o', 'Acquire::Languages=none'], options)
    await updated
    await runCommand(
      'apt-get',
      ['install', '-qy', '--no-install-recommends', '-o', 'DPkg::Lock::Timeout=120', '-o', 'Dpkg::Options::=--force-unsafe-io', ...packages],
      options,
    )
  })
}

/** The full path of a command, or undefined. */
export function findCommand(command: string): string | undefined {
  return SYSTEM_PATH.split(delimiter)
    .filter(Boolean)
    .map((folder) => join(folder, command))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}
