import { stringify } from 'yaml'
import { namesRegistry } from '#core/image-name.ts'
import { engineFiles, metadataFiles, quietAptFiles, runnerImageFile, runnerUnit } from './boot-files.ts'
import { GVISOR_RUNTIME, gvisorFiles } from './gvisor-files.ts'

/** What all machines of an installation boot with. */
export interface BootSettings {
  /** The gateway, as the machine reaches it. */
  apiUrl: string
  runnerImage: string
  /** Address of an archive with that image, for machines that lack it; only used when the image names no registry. Null: there is none. */
  runnerArchiveUrl: string | null
  gvisor: boolean
  /** Out of touch for so long, it switches itself off; 0: never. */
  deadmanMinutes: number
}

/** What one machine boots with. */
export interface BootFacts extends BootSettings {
  /** One-time, short-lived, and for this node only: whoever may read user data may read it. */
  token: string
  name: string
  pool: string
  slots: number
  memoryBytes: number
}

/** A file that cloud-init writes. */
export interface BootFile {
  path: string
  permissions: string
  owner: 'root:root'
  content: string
}

/** The most that Hetzner takes (https://docs.hetzner.cloud/reference/cloud#servers-create-a-server, `user_data`). */
export const MAX_USER_DATA_BYTES = 32 * 1024

/** Where the settings of the node-runner are on the machine. */
export const NODE_ENV_PATH = '/etc/rgrid/node.env'

/**
 * cloud-init of a machine: the node-runner's settings, its unit, and rules that keep everybody from the metadata service before
 * the first job can run. What a snapshot brings along (Docker, gVisor, the runner's image) is not installed again. Pure. Throws when a fact is not what it should be, as each becomes part of a file that root runs.
 */
export function userData(facts: BootFacts): string {
  checkFacts(facts)
  const pull = namesRegistry(facts.runnerImage)
  const archiveUrl = pull ? null : facts.runnerArchiveUrl
  const jobRuntime = facts.gvisor ? GVISOR_RUNTIME : null
  const files: BootFile[] = [
    { path: NODE_ENV_PATH, permissions: '0600', owner: 'root:root', content: nodeEnv(facts) },
    ...quietAptFiles(),
    ...engineFiles(),
    ...metadataFiles(),
    ...(facts.gvisor ? gvisorFiles() : []),
    ...(archiveUrl === null ? [] : [runnerImageFile(facts.runnerImage, archiveUrl)]),
    runnerUnit({ image: facts.runnerImage, envPath: NODE_ENV_PATH, pull, load: archiveUrl !== null, jobRuntime }),
  ]
  const document = {
    package_update: false,
    package_upgrade: false,
    ssh_pwauth: false,
    write_files: files,
    // Before anything is installed: apt's own timers would hold its lock for minutes.
    bootcmd: [['systemctl', 'mask', '--now', 'apt-daily.timer', 'apt-daily-upgrade.timer', 'unattended-upgrades.service']],
    runcmd: [
      ['/usr/local/sbin/rgrid-engine'],
      ...(facts.gvisor ? [['/usr/local/sbin/rgrid-gvisor']] : []),
      ['systemctl', 'daemon-reload'],
      ['systemctl', 'enable', 'rgrid-metadata.service', 'rgrid-node.service'],
      // Not waited for: it takes the image, and the end of cloud-init must not.
      ['systemctl', 'start', '--no-block', 'rgrid-node.service'],
    ],
  }
  const text = `#cloud-config\n${stringify(document, { lineWidth: 0 })}`
  const bytes = Buffer.byteLength(text)
  if (bytes > MAX_USER_DATA_BYTES) throw new Error(`the user data has ${bytes} bytes, and ${MAX_USER_DATA_BYTES} is the limit`)
  return text
}

/** As `docker run --env-file` reads it: each line is taken literally, so that nothing is quoted. */
function nodeEnv(facts: BootFacts): string {
  const variables: Record<string, string | number> = {
    RGRID_API_URL: facts.apiUrl.replace(/\/+$/, ''),
    RGRID_ENROL_TOKEN: facts.token,
    RGRID_NODE_DIR: '/var/lib/rgrid/node',
    RGRID_NODE_NAME: facts.name,
    RGRID_NODE_POOL: facts.pool,
    RGRID_NODE_SLOTS: facts.slots,
    RGRID_NODE_MEMORY: facts.memoryBytes,
    RGRID_DEADMAN_MINUTES: facts.deadmanMinutes,
    // From within its container it cannot: its unit sees the status that the runner ends with.
    RGRID_DEADMAN_COMMAND: 'true',
  }
  return Object.entries(variables)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}

const RULES: { readonly [Name in keyof BootFacts]?: RegExp } = {
  token: /^rgrid_enrol_[A-Za-z0-9]{20,100}$/,
  name: /^[A-Za-z0-9]([A-Za-z0-9.-]{0,61}[A-Za-z0-9])?$/,
  pool: /^[a-z0-9-]{1,32}$/,
  // Host, path, tag, digest; no more than a reference may have, and nothing that a shell or systemd would read (`$`, `%`, space).
  runnerImage: /^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,254}$/,
  // Likewise.
  runnerArchiveUrl: /^(null|https:\/\/[A-Za-z0-9.-]+(:\d+)?\/[A-Za-z0-9._~/-]*)$/,
}

function checkFacts(facts: BootFacts): void {
  const fault = (name: string) => new Error(`the ${name} of a machine's user data is not usable`)
  for (const [name, rule] of Object.entries(RULES)) if (!rule.test(String(facts[name as keyof BootFacts]))) throw fault(name)
  const url = URL.parse(facts.apiUrl)
  if (!url || !/^https?:$/.test(url.protocol) || url.username || url.password || !/^[\x21-\x7e]+$/.test(facts.apiUrl)) throw fault('apiUrl')
  if (!Number.isInteger(facts.slots) || facts.slots < 1) throw fault('slots')
  if (!Number.isInteger(facts.memoryBytes) || facts.memoryBytes < 1) throw fault('memoryBytes')
  if (!Number.isFinite(facts.deadmanMinutes) || facts.deadmanMinutes < 0) throw fault('deadmanMinutes')
}
