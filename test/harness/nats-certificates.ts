import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What infra/hetzner/nats-certificate.sh makes, in a folder of its own. */
export interface NatsCertificates {
  dir: string
  caFile: string
  /** The text of `caFile`. */
  ca: string
  /** Folder with server.pem and server.key. */
  serverDir: string
  /** Runs the script again; returns what it printed. */
  again(): string
  /** Makes the certificate of the server anew, for the same key. */
  renew(): void
  remove(): void
}

const SCRIPT = join(import.meta.dirname, '../../infra/hetzner/nats-certificate.sh')

/** Makes a CA and a certificate for this host. */
export function makeNatsCertificates(host: string): NatsCertificates {
  const dir = mkdtempSync(join(tmpdir(), 'rgrid-certificates-'))
  writeFileSync(join(dir, 'rgrid.env'), `API_DOMAIN=grid.example.com\nPUBLIC_HOST=${host}\n`)
  const again = () => execFileSync(SCRIPT, [dir], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] })
  const remove = () => rmSync(dir, { recursive: true, force: true })
  try {
    again()
  } catch (error) {
    remove()
    throw error
  }
  const caFile = join(dir, 'nats-ca.pem')
  const serverDir = join(dir, 'nats-tls')
  return {
    dir,
    caFile,
    ca: readFileSync(caFile, 'utf8'),
    serverDir,
    again,
    renew() {
      rmSync(join(serverDir, 'server.pem'))
      again()
    },
    remove,
  }
}
