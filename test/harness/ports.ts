import { type AddressInfo, createServer } from 'node:net'

/** TCP ports on loopback that nobody listens on now, as variables of the local bring-up: so test runs live side by side. */
export async function freePorts(): Promise<Record<'RGRID_PORT_API' | 'RGRID_PORT_POSTGRES' | 'RGRID_PORT_NATS' | 'RGRID_PORT_S3', string>> {
  const servers = await Promise.all(Array.from({ length: 4 }, () => listen()))
  const ports = servers.map((server) => String((server.address() as AddressInfo).port))
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
  const [api, postgres, nats, s3] = ports as [string, string, string, string]
  return { RGRID_PORT_API: api, RGRID_PORT_POSTGRES: postgres, RGRID_PORT_NATS: nats, RGRID_PORT_S3: s3 }
}

/** The first of `count` ports in a row on loopback that nobody listens on now. */
export async function freePortRow(count: number): Promise<number> {
  for (;;) {
    const server = await listen()
    const servers = [server]
    const first = (server.address() as AddressInfo).port
    try {
      for (let i = 1; i < count; i++) servers.push(await listen(first + i))
      return first
    } catch {
      // One is taken, or there is none so high: another row.
    } finally {
      await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))))
    }
  }
}

function listen(port = 0) {
  const { promise, resolve, reject } = Promise.withResolvers<ReturnType<typeof createServer>>()
  const server = createServer()
  server.once('error', reject)
  server.listen(port, '127.0.0.1', () => resolve(server))
  return promise
}
