import { isUtf8 } from 'node:buffer'
import { lstat, readdir, readlink, realpath, stat } from 'node:fs/promises'
import { join, matchesGlob, relative } from 'node:path'
import { RESERVED_FOLDER } from '#core/job/path.ts'
import { formatBytes } from '#core/job/quantity.ts'
import type { ResolvedSpec } from '#core/job/resolve.ts'

/** An output that is to be kept. */
export interface OutputFile {
  /** Relative to the work folder. */
  path: string
  /** The plain file on the machine that holds its bytes: inside the work folder, reached through no link. */
  source: string
  sizeBytes: number
  executable: boolean
}

/** What was found. `faults` are declared outputs that cannot be kept; `warnings` are others that were left out. */
export interface Collected {
  files: OutputFile[]
  faults: string[]
  warnings: string[]
}

/** How the files of the work folder were before the job: path → size and time. */
export type Snapshot = ReadonlyMap<string, string>

const MAX_WARNINGS = 20
const MAX_FILES = 10_000

/** Notes what is in the work folder, so that later everything new or changed can be told. */
export async function takeSnapshot(workDir: string): Promise<Snapshot> {
  const snapshot = new Map<string, string>()
  for await (const entry of walk(workDir, '')) {
    if (entry.kind === 'file') snapshot.set(entry.path, entry.stamp)
  }
  return snapshot
}

/**
 * Finds the outputs of a job that has ended: nothing runs in the work folder any more. No link is followed out of it and
 * nothing but plain files is taken.
 */
export async function collectOutputs(workDir: string, spec: Pick<ResolvedSpec, 'outputs' | 'diskBytes'>, before: Snapshot): Promise<Collected> {
  const collected: Collected = { files: [], faults: [], warnings: [] }
  if (spec.outputs?.length === 0) return collected
  const wanted = wantedPaths(spec.outputs)
  const matched = new Set<string>()
  const refuse = (path: string, why: string) => {
    const declared = wanted.declares(path)
    ;(declared ? collected.faults : collected.warnings).push(`output ${JSON.stringify(path)} ${declared ? 'cannot be kept' : 'was left out'}: ${why}`)
    for (const name of wanted.namesOf(path)) matched.add(name)
  }
  for await (const entry of walk(workDir, '')) {
    if (entry.kind === 'folder') {
      for (const name of wanted.namesOf(entry.path)) matched.add(name)
      continue
    }
    if (!wanted.includes(entry.path)) continue
    if (entry.kind === 'other') refuse(entry.path, 'it is no plain file (a device, pipe or socket)')
    else if (!isPlainName(entry.path)) refuse(entry.path, 'its name holds control characters or is no UTF-8')
    else if (entry.kind === 'link') {
      const target = await resolveLink(workDir, entry.path)
      if (target === undefined) refuse(entry.path, 'it is a link that leads out of the work folder or nowhere')
      else if (target.isFile) collected.files.push({ path: entry.path, source: target.path, sizeBytes: target.sizeBytes, executable: target.executable })
      for (const name of wanted.namesOf(entry.path)) matched.add(name)
    } else {
      for (const name of wanted.namesOf(entry.path)) matched.add(name)
      if (spec.outputs === null && before.get(entry.path) === entry.stamp) continue
      collected.files.push({ path: entry.path, source: join(workDir, entry.path), sizeBytes: entry.sizeBytes, executable: entry.executable })
    }
  }
  for (const output of spec.outputs ?? []) {
    if (output.type !== 'glob' && !matched.has(output.path)) collected.faults.push(`output ${JSON.stringify(output.path)} is declared but was not made`)
  }
  return bound(collected, spec.diskBytes)
}

/** Keeps what was collected within the disk limit (apparent sizes: a sparse file counts whole) and a number of files. */
function bound(collected: Collected, diskBytes: number): Collected {
  let total = 0
  const files: OutputFile[] = []
  for (const file of collected.files.toSorted((a, b) => a.sizeBytes - b.sizeBytes)) {
    if (total + file.sizeBytes > diskBytes)
      collected.faults.push(
        `output ${JSON.stringify(file.path)} of ${formatBytes(file.sizeBytes)} cannot be kept: the outputs would be larger than the disk limit of ${formatBytes(diskBytes)}`,
      )
    else if (files.length >= MAX_FILES) collected.faults.push(`output ${JSON.stringify(file.path)} cannot be kept: there are more than ${MAX_FILES}`)
    else {
      total += file.sizeBytes
      files.push(file)
    }
  }
  const more = collected.warnings.length - MAX_WARNINGS
  const warnings = more > 0 ? [...collected.warnings.slice(0, MAX_WARNINGS), `${more} more outputs were left out`] : collected.warnings
  return { files: files.toSorted((a, b) => (a.path < b.path ? -1 : 1)), faults: collected.faults, warnings }
}

interface Wanted {
  includes(path: string): boolean
  declares(path: string): boolean
  /** The declared paths that are this one. */
  namesOf(path: string): string[]
}

function wantedPaths(outputs: ResolvedSpec['outputs']): Wanted {
  if (outputs === null) return { includes: () => true, declares: () => false, namesOf: () => [] }
  const includes = (path: string) =>
    outputs.some((output) =>
      output.type === 'glob' ? matchesGlob(path, output.path) : output.type === 'directory' ? path.startsWith(`${output.path}/`) : path === output.path,
    )
  return {
    includes: (path) => includes(path) || outputs.some((output) => output.path === path),
    declares: () => true,
    namesOf: (path) => outputs.filter((output) => output.path === path).map((output) => output.path),
  }
}

interface Entry {
  path: string
  kind: 'file' | 'folder' | 'link' | 'other'
  sizeBytes: number
  executable: boolean
  stamp: string
}

/** Every entry below a folder, by lstat: links are named, never followed. Names are bytes until they are known to be text. */
async function* walk(root: string, folder: string): AsyncGenerator<Entry> {
  const entries = await readdir(join(root, folder), { encoding: 'buffer' })
  for (const raw of entries.sort(Buffer.compare)) {
    const name = isUtf8(raw) ? raw.toString('utf8') : `${raw.toString('latin1')}\u0000`
    const path = folder === '' ? name : `${folder}/${name}`
    if (path === RESERVED_FOLDER) continue
    if (!isUtf8(raw)) {
      yield { path, kind: 'file', sizeBytes: 0, executable: false, stamp: '' }
      continue
    }
    const info = await lstat(join(root, path), { bigint: true }).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENAMETOOLONG') return undefined
      throw error
    })
    if (!info) {
      // Made step by step with chdir: deeper than any path can say. Named by where it begins.
      yield { path: path.slice(0, 200), kind: 'other', sizeBytes: 0, executable: false, stamp: '' }
      continue
    }
    const kind = info.isDirectory() ? 'folder' : info.isFile() ? 'file' : info.isSymbolicLink() ? 'link' : 'other'
    yield { path, kind, sizeBytes: Number(info.size), executable: (info.mode & 0o111n) !== 0n, stamp: `${info.size}:${info.mtimeNs}:${info.ino}` }
    if (kind === 'folder') yield* walk(root, path)
  }
}

/** Where a link inside the work folder leads; undefined when that is not inside. An absolute link is meant as the job sees it. */
async function resolveLink(workDir: string, path: string): Promise<{ path: string; isFile: boolean; sizeBytes: number; executable: boolean } | undefined> {
  const link = await readlink(join(workDir, path))
  const start = link.startsWith('/work/') ? join(workDir, link.slice('/work/'.length)) : link.startsWith('/') ? undefined : join(workDir, path, '..', link)
  if (start === undefined) return undefined
  try {
    const [target, root] = [await realpath(start), await realpath(workDir)]
    const inside = relative(root, target)
    if (inside === '' || inside === '..' || inside.startsWith('../')) return undefined
    const info = await stat(target)
    return { path: target, isFile: info.isFile(), sizeBytes: info.size, executable: (info.mode & 0o111) !== 0 }
  } catch {
    return undefined
  }
}

function isPlainName(path: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what this refuses
  return !/[\u0000-\u001f\u007f]/.test(path) && Buffer.byteLength(path) <= 1024
}
