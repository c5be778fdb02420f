import { createHash } from 'node:crypto'
import { mkdirSync, realpathSync } from 'node:fs'
import { join, resolve } from 'node:path'

/** A TCP port on 127.0.0.1 and the variable that changes it. */
export interface Port {
  number: number
  variable: string
}

/** Everything one local instance is derived from, read once. Paths are absolute. */
export interface Settings {
  /** The checkout. */
  root: string
  /** Where state, secrets, logs and data live; deleting it (stopped) forgets the instance. */
  stateDir: string
  /** Names the instance's containers and processes: derived from `stateDir`, so two instances never meet. */
  instance: string
  ports: { api: Port; postgres: Port; nats: Port; s3: Port }
  /** Services that are there already; absent ones run as containers. */
  given: { postgresAdminUrl?: string; nats?: GivenNats; s3?: GivenS3 }
  /** `never` builds every image from Debian's packages without asking a registry. */
  pull: 'auto' | 'never'
  /** Where Debian's packages come from when images are built. */
  debianMirror: string
  /** Where nodes come from: one here; `local`: the scheduler orders machines, each a node-runner here; `bought`: somebody else has them. */
  nodes: 'here' | 'local' | 'bought'
}

/** An existing NATS that trusts the operator in `trustDir`; one at a tls:// address proves itself by the CA in `caFile`. */
export interface GivenNats {
  url: string
  trustDir: string
  caFile?: string
}

/** An existing S3 server. */
export interface GivenS3 {
  url: string
  accessKey: string
  secretKey: string
}

/** Reads the environment and makes the state folder (mode 700). Throws an Error that lists every fault. */
export function readSettings(env: NodeJS.ProcessEnv = process.env): Settings {
  const faults: string[] = []
  const root = resolve(import.meta.dirname, '../..')
  const stateDir = makeStateDir(env.RGRID_STATE_DIR ? resolve(env.RGRID_STATE_DIR) : join(root, '.rgrid'))
  const port = (variable: string, byDefault: number): Port => {
    const number = Number(env[variable] || byDefault)
    if (!Number.isInteger(number) || number < 1 || number > 65535) faults.push(`${variable} must be a port number, not "${env[variable]}"`)
    return { number, variable }
  }
  const ports = {
    api: port('RGRID_PORT_API', 8470),
    postgres: port('RGRID_PORT_POSTGRES', 8471),
    nats: port('RGRID_PORT_NATS', 8472),
    s3: port('RGRID_PORT_S3', 8473),
  }
  const pull = env.RGRID_PULL || 'auto'
  if (pull !== 'auto' && pull !== 'never') faults.push('RGRID_PULL must be auto or never')
  const given = readGiven(env, ports, faults)
  if (faults.length > 0) throw new Error(`the settings are not usable:\n${faults.map((fault) => `  - ${fault}`).join('\n')}`)
  const instance = createHash('sha256').update(stateDir).digest('hex').slice(0, 8)
  const debianMirror = env.RGRID_DEBIAN_MIRROR || 'http://deb.debian.org/debian'
  return { root, stateDir, instance, ports, given, pull: pull === 'never' ? 'never' : 'auto', debianMirror, nodes: nodesOf(env.RGRID_CLOUD) }
}

function nodesOf(cloud: string | undefined): Settings['nodes'] {
  if (!cloud || cloud === 'none') return 'here'
  return cloud === 'local' ? 'local' : 'bought'
}

function makeStateDir(path: string): string {
  mkdirSync(path, { recursive: true, mode: 0o700 })
  return realpathSync(path)
}

function readGiven(env: NodeJS.ProcessEnv, ports: Settings['ports'], faults: string[]): Settings['given'] {
  const given: Settings['given'] = {}
  const postgresAdminUrl = address(env.RGRID_POSTGRES_ADMIN_URL, ports.postgres)
  if (postgresAdminUrl) given.postgresAdminUrl = postgresAdminUrl
  const natsUrl = address(env.RGRID_NATS_URL, ports.nats)
  if (natsUrl) {
    const ca = env.RGRID_NATS_CA_FILE ? { caFile: resolve(env.RGRID_NATS_CA_FILE) } : {}
    if (env.RGRID_NATS_TRUST_DIR) given.nats = { url: natsUrl, trustDir: resolve(env.RGRID_NATS_TRUST_DIR), ...ca }
    else faults.push('RGRID_NATS_URL needs RGRID_NATS_TRUST_DIR, the folder with the operator that the server trusts')
  }
  const s3Url = address(env.RGRID_S3_URL, ports.s3)
  if (s3Url) {
    const { RGRID_S3_ACCESS_KEY: accessKey, RGRID_S3_SECRET_KEY: secretKey } = env
    if (accessKey && secretKey) given.s3 = { url: s3Url, accessKey, secretKey }
    else faults.push('RGRID_S3_URL needs RGRID_S3_ACCESS_KEY and RGRID_S3_SECRET_KEY')
  }
  return given
}

// A shell that has sourced `.rgrid/env` names our own services: that must not make them somebody else's.
function address(url: string | undefined, own: Port): string | undefined {
  if (!url) return undefined
  const parsed = URL.parse(url)
  return parsed?.hostname === '127.0.0.1' && Number(parsed.port) === own.number ? undefined : url
}
