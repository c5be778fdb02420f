import { spawn } from 'node:child_process'
import type Docker from 'dockerode'
import { lastLines } from './command.ts'
import { CONTENT_LABEL, followOutput } from './image-build.ts'
import { ensureCommands, SYSTEM_PATH } from './packages.ts'
import type { Settings } from './settings.ts'

const DEADLINE_MS = 300_000

// Both files stay in the image, so that what is installed on top is as lean.
const APT_OPTIONS = ['Acquire::Retries "3"', 'Acquire::Languages "none"', 'APT::Install-Recommends "false"']
const DPKG_OPTIONS = ['force-unsafe-io', ...['doc', 'man', 'info', 'locale', 'lintian'].map((folder) => `path-exclude=/usr/share/${folder}/*`)]

// bookworm's essential packages ask for usrmerge, which drags all of Perl in, unless /usr is merged beforehand.
const SUITE_OPTIONS: Readonly<Record<string, readonly string[]>> = {
  bookworm: ['--hook-dir=/usr/share/mmdebstrap/hooks/merged-usr', '--include=usr-is-merged'],
}

/**
 * Makes a minimal Debian image without a registry: mmdebstrap installs the release's essential packages into a tar
 * stream, the engine imports it under `tag`.
 */
export async function makeDebianBase(settings: Settings, docker: Docker, suite: string, tag: string, content: string, outer: AbortSignal): Promise<void> {
  await ensureCommands(['mmdebstrap'], outer)
  const signal = AbortSignal.any([outer, AbortSignal.timeout(DEADLINE_MS)])
  const options = [...APT_OPTIONS.map((option) => `--aptopt=${option}`), ...DPKG_OPTIONS.map((option) => `--dpkgopt=${option}`)]
  const args = [
    '--quiet',
    '--variant=minbase',
    '--include=ca-certificates',
    '--format=tar',
    ...options,
    ...(SUITE_OPTIONS[suite] ?? []),
    suite,
    '-',
    settings.debianMirror,
  ]
  const child = spawn('mmdebstrap', args, { env: { ...process.env, PATH: SYSTEM_PATH }, stdio: ['ignore', 'pipe', 'pipe'], signal })
  let errors = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-8000)
  })
  const ended = new Promise<void>((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (code) => (code === 0 ? resolve() : reject(new Error(`mmdebstrap ${suite} failed:\n${lastLines(errors, 20)}`))))
  })
  // Imported under a name of its own first: an import cut short must not pass for the image.
  const [repo, version] = tag.split(':') as [string, string]
  const label = [`LABEL ${CONTENT_LABEL}=${content}`, 'CMD ["bash"]']
  const imported = docker
    .importImage(child.stdout, { repo, tag: `${version}-part`, changes: label, abortSignal: signal })
    .then((stream) => followOutput(docker, stream, `importing ${tag}`))
  await Promise.all([ended, imported])
  const part = docker.getImage(`${tag}-part`)
  await part.tag({ repo, tag: version })
  await part.remove().catch(() => undefined)
}
