import { once } from 'node:events'
import http from 'node:http'

/** A way to the Docker engine that mounts the witness folder into every container that is created on it. */
export interface DockerProxy {
  /** For DOCKER_HOST. */
  host: string
  close(): Promise<void>
}

/** Listens on a socket of its own. Everything but `/containers/create` passes as it is, streams included. */
export async function startDockerProxy(socketPath: string, witnessDir: string, engine = '/var/run/docker.sock'): Promise<DockerProxy> {
  const server = http.createServer((request, response) => {
    const onward = http.request({ socketPath: engine, method: request.method, path: request.url, headers: request.headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      response.flushHeaders()
      answer.pipe(response)
      answer.on('error', () => response.destroy())
    })
    onward.on('error', () => response.destroy())
    response.on('close', () => onward.destroy())
    if (request.method === 'POST' && /\/containers\/create(\?|$)/.test(request.url ?? '')) void addWitness(request, onward, witnessDir)
    else request.pipe(onward)
  })
  server.requestTimeout = 0
  server.headersTimeout = 0
  server.listen(socketPath)
  await once(server, 'listening')
  return {
    host: `unix://${socketPath}`,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function addWitness(request: http.IncomingMessage, onward: http.ClientRequest, witnessDir: string): Promise<void> {
  const parts: Buffer[] = []
  for await (const part of request) parts.push(part as Buffer)
  const options = JSON.parse(Buffer.concat(parts).toString('utf8')) as { HostConfig: { Binds: string[] } }
  options.HostConfig.Binds.push(`${witnessDir}:/witness:rw`)
  const body = Buffer.from(JSON.stringify(options))
  onward.setHeader('content-length', body.length)
  onward.end(body)
}
