import { join } from 'node:path'
import { sleep, withDeadline } from '#core/service/time.ts'
import { runCommand } from './platform.ts'
import { serverContainer } from './server-container.ts'
import { testServices } from './services.ts'

/** A real NATS server that begins with TLS, with the configuration that infra/hetzner gives it and the trust of the test servers. */
export interface TlsNats {
  /** tls://127.0.0.1:port */
  url: string
  /** What the server says of its connections (https://docs.nats.io/running-a-nats-service/nats_admin/monitoring#connection-information). */
  connections(): Promise<TlsConnection[]>
  /** Makes it read its certificate again. */
  reload(): Promise<void>
  stop(): Promise<void>
}

/** A connection as the server sees it; without `tls_version` it is plain. */
export interface TlsConnection {
  name?: string
  tls_version?: string
  tls_first?: boolean
}

const NATS = join(import.meta.dirname, '../../infra/nats')

/** Starts one in a container with the server.pem and server.key of this folder. Call `stop` in the end. */
export async function startTlsNats(serverDir: string): Promise<TlsNats> {
  const beside = await serverContainer(process.env.RGRID_TEST_STATE_DIR ?? '', 'nats')
  // The label has a run that was cut off cleared away with the other servers.
  const [image = '', instance = ''] = (await docker('inspect', '--format', '{{.Config.Image}} {{index .Config.Labels "rgrid.instance"}}', beside)).split(' ')
  const mounts = {
    '/etc/nats/nats-server.conf': join(NATS, 'nats-server.conf'),
    '/etc/nats/nats-server-tls.conf': join(NATS, 'nats-server-tls.conf'),
    '/etc/nats/trust/resolver.conf': join(testServices().natsTrustDir, 'resolver.conf'),
    '/etc/nats/tls': serverDir,
  }
  const id = await docker(
    ...['run', '-d', '--rm', '--label', `rgrid.instance=${instance}`, '--read-only', '--cap-drop', 'ALL', '--tmpfs', '/data'],
    ...['-p', '127.0.0.1::4222', '-p', '127.0.0.1::8222'],
    ...Object.entries(mounts).flatMap(([target, source]) => ['-v', `${source}:${target}:ro`]),
    ...[image, '--config', '/etc/nats/nats-server-tls.conf'],
  )
  const stop = async () => void (await docker('rm', '-f', id))
  try {
    const monitor = `http://${await docker('port', id, '8222')}`
    const url = `tls://${await docker('port', id, '4222')}`
    await withDeadline('NATS with TLS', 20_000, async (signal) => {
      while (!(await fetch(`${monitor}/healthz`, { signal }).then((answer) => answer.ok, isAwayStill))) await sleep(50, signal)
    })
    return {
      url,
      async connections() {
        const answer = (await (await fetch(`${monitor}/connz`)).json()) as { connections: TlsConnection[] }
        return answer.connections
      },
      reload: async () => void (await docker('kill', '-s', 'HUP', id)),
      stop,
    }
  } catch (error) {
    await stop()
    throw error
  }
}

// It does not listen yet; the deadline says how long that may last.
function isAwayStill(): false {
  return false
}

async function docker(...args: string[]): Promise<string> {
  const result = await runCommand('docker', args)
  if (result.code !== 0) throw new Error(`docker ${args[0]}: ${result.stderr}`)
  return result.stdout.trim()
}
