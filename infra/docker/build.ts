import { createHash } from 'node:crypto'
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import type Docker from 'dockerode'
import { runCommand } from '../local/command.ts'
import { openEngine } from '../local/engine.ts'
import { buildImage } from '../local/image-build.ts'
import { createImages } from '../local/images.ts'
import { step } from '../local/progress.ts'
import { readSettings, type Settings } from '../local/settings.ts'
import { makeFolders, writeWhole } from '../local/state.ts'

/** What each image holds of ours: exactly the folders that its process may import, or starts. */
const PARTS: Readonly<Record<string, readonly string[]>> = {
  gateway: ['core', 'bus', 'store', 'gateway'],
  scheduler: ['core', 'bus', 'store', 'scheduler'],
  'node-runner': ['core', 'bus', 'node-runner'],
  machines: ['core', 'bus', 'node-runner', 'infra'],
}

const INSTALL_DEADLINE_MS = 300_000

/**
 * `node infra/docker/build.ts`: builds rgrid/gateway, rgrid/scheduler, rgrid/node-runner and rgrid/machines, tagged with the package's
 * version, on node:24-slim or, where no registry answers, on the Debian-built rgrid/node:24 (RGRID_BASE_IMAGE decides
 * otherwise). Production packages are installed on this machine, so the builds need no npm registry.
 */
async function main(): Promise<void> {
  const settings = readSettings()
  makeFolders(settings)
  const signal = new AbortController().signal
  const docker = await openEngine(settings, signal)
  const base = process.env.RGRID_BASE_IMAGE || (await createImages(settings, docker, signal)('node'))
  const packages = await step('production packages', () => installPackages(settings, signal))
  const { version } = JSON.parse(readFileSync(join(settings.root, 'package.json'), 'utf8')) as { version: string }
  for (const part of Object.keys(PARTS)) {
    const tag = `rgrid/${part}:${version}`
    await step(`image ${tag} on ${base}`, () => buildPart(settings, docker, part, { tag, base, packages, signal }))
  }
}

async function buildPart(
  settings: Settings,
  docker: Docker,
  part: string,
  options: { tag: string; base: string; packages: string; signal: AbortSignal },
): Promise<void> {
  const dockerfile = `Dockerfile.${part}`
  const ours = (PARTS[part] ?? []).map((folder) => join(settings.root, folder))
  await buildImage(docker, {
    tag: options.tag,
    folders: [options.packages],
    files: [join(import.meta.dirname, dockerfile), ...ours],
    args: { BASE: options.base },
    dockerfile,
    content: part,
    signal: options.signal,
  })
}

/** A folder with package.json and production node_modules, installed anew only when the lock file has changed. */
async function installPackages(settings: Settings, signal: AbortSignal): Promise<string> {
  const lock = readFileSync(join(settings.root, 'package-lock.json'))
  const stamp = createHash('sha256').update(lock).digest('hex')
  const folder = join(settings.stateDir, 'build', stamp.slice(0, 16))
  const done = join(settings.stateDir, 'build', `${stamp.slice(0, 16)}.done`)
  if (!existsSync(done)) {
    rmSync(join(settings.stateDir, 'build'), { recursive: true, force: true })
    mkdirSync(folder, { recursive: true })
    for (const file of ['package.json', 'package-lock.json']) cpSync(join(settings.root, file), join(folder, file))
    const flags = ['--omit=dev', '--omit=optional', '--ignore-scripts', '--no-save', '--no-audit', '--no-fund', '--loglevel=error']
    await runCommand('npm', ['install', ...flags], { cwd: folder, signal, deadlineMs: INSTALL_DEADLINE_MS })
    writeWhole(done, '')
  }
  cpSync(join(settings.root, 'package.json'), join(folder, 'package.json'))
  return folder
}

await main()
