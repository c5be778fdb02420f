import { join, resolve } from 'node:path'
import Docker from 'dockerode'
import { SYSTEM_PATH } from '../local/packages.ts'
import { createHost } from './host.ts'
import { listenAt, serveHost } from './server.ts'

/** What runners are given of this process's own environment. The address of its metrics is not: they would share a port. */
const HANDED = /^(HOME|TZ|DOCKER_HOST|(HTTPS?|NO)_PROXY|RGRID_(EGRESS_ALLOW|PIP_INDEX_URL|LOG_LEVEL|[A-Z_]+_SECONDS|MIN_FREE_DISK|IMAGE_DISK_PERCENT))$/i

/**
 * The machine host: what a provider of machines is to an installation on one computer. `RGRID_MACHINES_DIR` holds the machines'
 * folders, `RGRID_MACHINES_SOCKET` is where it is asked, `RGRID_MACHINES_UID` who may ask, `RGRID_MACHINES_MAX` how many there
 * may be, `RGRID_MACHINES_INSTANCE` what its processes are marked with.
 */
async function main(): Promise<void> {
  const { RGRID_MACHINES_DIR, RGRID_MACHINES_SOCKET, RGRID_MACHINES_UID, RGRID_MACHINES_MAX, RGRID_MACHINES_INSTANCE } = process.env
  if (!RGRID_MACHINES_DIR || !RGRID_MACHINES_SOCKET) throw new Error('RGRID_MACHINES_DIR and RGRID_MACHINES_SOCKET are needed')
  const [uid, maxMachines] = [Number(RGRID_MACHINES_UID || 0), Number(RGRID_MACHINES_MAX || 8)]
  if (!Number.isInteger(uid) || !Number.isInteger(maxMachines)) throw new Error('RGRID_MACHINES_UID and RGRID_MACHINES_MAX must be whole numbers')
  const say = (text: string) => void process.stdout.write(`${new Date().toISOString()} ${text}\n`)
  const host = createHost({
    docker: new Docker(),
    dir: resolve(RGRID_MACHINES_DIR),
    maxMachines,
    place: {
      root: join(import.meta.dirname, '../..'),
      instance: RGRID_MACHINES_INSTANCE || 'machines',
      env: {
        PATH: SYSTEM_PATH,
        // Whoever takes a machine away does not wait for its jobs.
        RGRID_DRAIN_SECONDS: '3',
        ...Object.fromEntries(Object.entries(process.env).filter((entry): entry is [string, string] => HANDED.test(entry[0]) && Boolean(entry[1]))),
      },
    },
    nowMs: () => Date.now(),
    say,
  })
  const server = serveHost(host, say)
  await listenAt(server, resolve(RGRID_MACHINES_SOCKET), uid)
  say(`machines are to be had at ${RGRID_MACHINES_SOCKET}`)
  await host.resume()
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, () => process.exit(0))
}

await main()
