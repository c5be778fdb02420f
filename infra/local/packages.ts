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
  return inTurn(() => {
    const missing = commands.filter((command) => !findCommand(command))
    return install(
      missing.map((command) => PACKAGE_OF[command] ?? command),
      signal,
    )
  })
}

/** The same for a package that brings no command, when `isMissing` says so. */
export function ensurePackage(name: string, isMissing: () => Promise<boolean>, signal: AbortSignal): Promise<void> {
  return inTurn(async () => {
    if (await isMissing()) await install([name], signal)
  })
}

/** One at a time: apt-get holds a lock. */
function inTurn(work: () => Promise<void>): Promise<void> {
  const result = queue.then(work)
  queue = result.catch(() => undefined)
  return result
}

async function install(packages: readonly string[], signal: AbortSignal): Promise<void> {
  if (packages.length === 0) return
  if (!findCommand('apt-get')) throw new Error(`${packages.join(', ')} missing, and there is no apt-get to install what is needed`)
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
