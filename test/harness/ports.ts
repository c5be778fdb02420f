import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/** Below the ports that Linux hands out by itself (from 32768 on): no client or listener of another process is given one of these by chance. */
const [LOWEST, HIGHEST] = [20_000, 32_000]

/** TCP ports on loopback that nobody listens on now, as variables of the local bring-up: so test runs live side by side. */
export async function freePorts(): Promise<Record<'RGRID_PORT_API' | 'RGRID_PORT_POSTGRES' | 'RGRID_PORT_NATS' | 'RGRID_PORT_S3', string>> {
  const first = await freePortRow(4)
  const [api, postgres, nats, s3] = [0, 1, 2, 3].map((i) => String(first + i)) as [string, string, string, string]
  return { RGRID_PORT_API: api, RGRID_PORT_POSTGRES: postgres, RGRID_PORT_NATS: nats, RGRID_PORT_S3: s3 }
}

/** The first of `count` ports in a row on loopback that nobody listens on now. */
export async function freePortRow(count: number): Promise<number> {
  for (;;) {
    const first = randomInt(LOWEST, HIGHEST - count)
    const servers: Awaited<ReturnType<typeof listen>>[] = []
    try {
      for (let i = 0; i < count; i++) servers.push(await listen(first + i))
      return first
    } catch {
      // One is taken: another row.
    } finally {
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    }
  }
}

function listen(port: number) {
  const { promise, resolve, reject } = Promise.withResolvers<ReturnType<typeof createServer>>()
  const server = createServer()
  server.once('error', reject)
  server.listen(port, '127.0.0.1', () => resolve(server))
  return promise
}
