import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type Docker from 'dockerode'
import { IMAGES, type ImageEntry, type ImageName, RUNTIME_IMAGES } from '../images/table.ts'
import { makeDebianBase } from './debian-base.ts'
import { buildImage, hasImage } from './image-build.ts'
import { say, step } from './progress.ts'
import { createPuller } from './registry.ts'
import type { Settings } from './settings.ts'
import { writeWhole } from './state.ts'

/** Gives the image reference of a name, after making sure that it is on this machine. */
export type EnsureImage = (name: ImageName) => Promise<string>

/**
 * Makes images available: an official one that is there, else our own build whose inputs have not changed, else a
 * pull, and where no registry answers a build from Debian's packages. Each is made once, however often it is asked for.
 */
export function createImages(settings: Settings, docker: Docker, signal: AbortSignal): EnsureImage {
  const pull = createPuller(settings, docker, signal)
  const made = new Map<ImageName, Promise<string>>()
  const ensure: EnsureImage = (name) => {
    const known = made.get(name)
    if (known) return known
    const image = find(name)
    made.set(name, image)
    return image
  }

  async function find(name: ImageName): Promise<string> {
    const entry = IMAGES[name]
    if (entry.official && (await hasImage(docker, entry.official))) return entry.official
    // Our own image on top of another: what that other one is decides, so it is looked at first.
    const base = entry.base && !entry.official ? await ensure(entry.base) : undefined
    const content = contentHash(settings, name, base)
    if (await hasImage(docker, entry.build, content)) return entry.build
    if (entry.official && (await pull(entry.official))) return entry.official
    await build(entry, base ?? (entry.base && (await ensure(entry.base))), content)
    return entry.build
  }

  async function build(entry: ImageEntry, base: string | undefined, content: string): Promise<void> {
    if (entry.suite) {
      const suite = entry.suite
      await step(`image ${entry.build} from Debian ${suite}`, () => makeDebianBase(settings, docker, suite, entry.build, content, signal))
      return
    }
    const folders = [join(settings.root, 'infra/images', entry.folder ?? '')]
    const files = entry.withNode ? [nodeBinary(settings)] : []
    await step(`image ${entry.build} from Debian's packages`, () =>
      buildImage(docker, { tag: entry.build, folders, files, args: base ? { BASE: base } : {}, content, signal }),
    )
  }
  return ensure
}

/** Makes the runtimes' images available and writes `.rgrid/runtimes.json`: runtime name → the image it is here. */
export async function prepareRuntimes(settings: Settings, ensure: EnsureImage): Promise<void> {
  await step('runtime images', async () => {
    const names = Object.entries(RUNTIME_IMAGES)
    const images = await Promise.all(names.map(async ([runtime, name]) => [runtime, await ensure(name)] as const))
    writeWhole(join(settings.stateDir, 'runtimes.json'), `${JSON.stringify(Object.fromEntries(images), null, 2)}\n`, 0o644)
    say(`runtimes: ${images.map(([runtime, image]) => `${runtime} = ${image}`).join(', ')}`)
  })
}

/** Makes every image available: the runtimes' and those of the services that are not given as addresses. */
export async function prepareImages(settings: Settings, ensure: EnsureImage): Promise<void> {
  const { given } = settings
  const services = [...(given.postgresAdminUrl ? [] : ['postgres' as const]), ...(given.nats ? [] : ['nats' as const]), ...(given.s3 ? [] : ['s3' as const])]
  await Promise.all([prepareRuntimes(settings, ensure), step('service images', () => Promise.all(services.map(ensure)))])
}

// What an image is made of: the files of its folder, what it stands on, and the Node version it carries.
function contentHash(settings: Settings, name: ImageName, base: string | undefined): string {
  const hash = createHash('sha256')
  const add = (imageName: ImageName) => {
    const entry = IMAGES[imageName]
    hash.update(`${entry.build} ${entry.suite ?? ''}\n`)
    if (entry.folder) {
      const folder = join(settings.root, 'infra/images', entry.folder)
      for (const file of readdirSync(folder).sort()) hash.update(`${file}\n`).update(readFileSync(join(folder, file)))
    }
    if (entry.withNode) hash.update(process.version)
    if (entry.suite) hash.update(readFileSync(join(import.meta.dirname, 'debian-base.ts')))
    if (entry.base) add(entry.base)
  }
  add(name)
  return hash
    .update(base ?? '')
    .digest('hex')
    .slice(0, 16)
}

/** The checkout's own Node 24 binary, real file. */
function nodeBinary(settings: Settings): string {
  const arch = process.arch === 'arm64' ? 'arm64' : 'x64'
  return join(settings.root, 'node_modules', `node-linux-${arch}`, 'bin', 'node')
}
