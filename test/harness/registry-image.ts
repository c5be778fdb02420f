import { createHash, randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { runCommand } from './platform.ts'

/** What a registry serves under a tag: a manifest, and the blobs that it names. */
export interface ServedImage {
  manifest: Buffer
  mediaType: string
  digest: string
  /** The id that an engine gives the image: the digest of its configuration. Empty for a list of manifests. */
  id: string
  config: string
  blobs: ReadonlyMap<string, Buffer>
  /** Further manifests, that are asked for by digest. */
  parts: readonly ServedImage[]
}

/** Media types of the Docker image manifest v2, schema 2, and of the OCI image specification 1.0. */
const MEDIA = {
  docker: {
    manifest: 'application/vnd.docker.distribution.manifest.v2+json',
    list: 'application/vnd.docker.distribution.manifest.list.v2+json',
    config: 'application/vnd.docker.container.image.v1+json',
    layer: 'application/vnd.docker.image.rootfs.diff.tar.gzip',
  },
  oci: {
    manifest: 'application/vnd.oci.image.manifest.v1+json',
    list: 'application/vnd.oci.image.index.v1+json',
    config: 'application/vnd.oci.image.config.v1+json',
    layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
  },
} as const
type Format = keyof typeof MEDIA

const ARCHITECTURE = process.arch === 'x64' ? 'amd64' : process.arch

/** An image of one layer with one file of 64 KiB of chance, so that no two are the same. It holds no program. */
export function tinyImage(format: Format = 'docker'): ServedImage {
  const layer = tarFile('chance', randomBytes(64 * 1024))
  const config = { architecture: ARCHITECTURE, os: 'linux', config: { Cmd: ['/none'] }, rootfs: { type: 'layers', diff_ids: [digestOf(layer)] } }
  return assemble(format, config, [gzipSync(layer)])
}

/** A list of manifests, in which each image is said to be for a platform of Linux. */
export function manifestList(images: Readonly<Record<string, ServedImage>>, format: Format = 'docker'): ServedImage {
  const manifests = Object.entries(images).map(([architecture, image]) => ({
    mediaType: image.mediaType,
    size: image.manifest.length,
    digest: image.digest,
    platform: { architecture, os: 'linux' },
  }))
  const manifest = json({ schemaVersion: 2, mediaType: MEDIA[format].list, manifests })
  const parts = Object.values(images)
  return {
    manifest,
    mediaType: MEDIA[format].list,
    digest: digestOf(manifest),
    id: '',
    config: '',
    blobs: new Map(parts.flatMap((part) => [...part.blobs])),
    parts,
  }
}

/** An image of the local engine under an id of its own (a label is added), so that its programs can be run. */
export async function localImage(reference: string): Promise<ServedImage> {
  const dir = mkdtempSync(join(tmpdir(), 'rgrid-image-'))
  try {
    for (const args of [
      ['docker', 'save', '-o', join(dir, 'image.tar'), reference],
      ['tar', '-xf', join(dir, 'image.tar'), '-C', dir],
    ]) {
      const result = await runCommand(args[0] as string, args.slice(1))
      if (result.code !== 0) throw new Error(`${args.join(' ')}: ${result.stderr}`)
    }
    const [saved] = JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8')) as [{ Config: string; Layers: string[] }]
    const config = JSON.parse(readFileSync(join(dir, saved.Config), 'utf8')) as { config?: { Labels?: Record<string, string> } }
    const labels = { ...config.config?.Labels, 'rgrid.test': randomBytes(8).toString('hex') }
    const layers = saved.Layers.map((layer) => gzipSync(readFileSync(join(dir, layer)), { level: 1 }))
    return assemble('docker', { ...config, config: { ...config.config, Labels: labels } }, layers)
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** The name of some bytes in a registry. */
export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`
}

function assemble(format: Format, config: unknown, layers: Buffer[]): ServedImage {
  const media = MEDIA[format]
  const bytes = json(config)
  const describe = (mediaType: string, blob: Buffer) => ({ mediaType, size: blob.length, digest: digestOf(blob) })
  const manifest = json({
    schemaVersion: 2,
    mediaType: media.manifest,
    config: describe(media.config, bytes),
    layers: layers.map((layer) => describe(media.layer, layer)),
  })
  const id = digestOf(bytes)
  const blobs = new Map([bytes, ...layers].map((blob) => [digestOf(blob), blob]))
  return { manifest, mediaType: media.manifest, digest: digestOf(manifest), id, config: id, blobs, parts: [] }
}

/** A tar archive of one file (POSIX ustar: a header of 512 bytes, then blocks of 512, then two empty ones). */
function tarFile(name: string, content: Buffer): Buffer {
  const header = Buffer.alloc(512)
  const octal = (value: number, length: number) => `${value.toString(8).padStart(length - 1, '0')}\0`
  header.write(name, 0)
  header.write(octal(0o644, 8) + octal(0, 8) + octal(0, 8) + octal(content.length, 12) + octal(0, 12), 100)
  header.write('        0', 148)
  header.write('ustar\x0000', 257)
  const sum = header.reduce((total, byte) => total + byte, 0)
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return Buffer.concat([header, content, Buffer.alloc((512 - (content.length % 512)) % 512), Buffer.alloc(1024)])
}

function json(value: unknown): Buffer {
  return Buffer.from(JSON.stringify(value))
}
