import { request as httpRequest } from 'node:http'
import { type Static, type TSchema, Type } from '@sinclair/typebox'
import { Value } from '@sinclair/typebox/value'
import type { Architecture } from '#core/node.ts'
import { type Cloud, CloudError, type CloudErrorKind, type Server } from './cloud.ts'

/** How machines on this very computer are had. */
export interface LocalCloudConfig {
  /** The Unix socket of the machine host (infra/machines). */
  socket: string
  slots: number
  memoryBytes: number
  hourMicrons: number
  billing: 'hour' | 'second'
}

const HostServer = Type.Object({
  id: Type.String(),
  name: Type.String(),
  nodeId: Type.String(),
  serverType: Type.String(),
  location: Type.String(),
  createdAtMs: Type.Integer(),
  status: Type.Union([Type.Literal('running'), Type.Literal('off'), Type.Literal('deleting')]),
})
const HostServers = Type.Object({ servers: Type.Array(HostServer) })
const HostFault = Type.Object({ code: Type.String(), message: Type.String() })

const CELL = { serverType: 'local', location: 'here' } as const
const DEADLINE_MS = 10_000
const KINDS: Readonly<Record<string, CloudErrorKind>> = { exists: 'exists', limit: 'limit', invalid: 'refused' }

/**
 * A provider on this very computer, to develop and rehearse with: the machine host starts a real node-runner for each machine,
 * with the settings of its user data. The scheduler speaks to it as to any other provider, and starts nothing itself.
 */
export function createLocalCloud(config: LocalCloudConfig, deps: { arch?: Architecture } = {}): Cloud {
  const arch = deps.arch ?? (process.arch === 'arm64' ? 'arm64' : 'amd64')
  const ask = <T extends TSchema>(method: string, path: string, answer: T, signal: AbortSignal, body?: unknown) =>
    call(config.socket, method, path, answer, signal, body)

  return {
    provider: 'local',
    billing: config.billing,
    async offers() {
      return [{ ...CELL, arch, slots: config.slots, memoryBytes: config.memoryBytes, hourMicrons: config.hourMicrons, available: true }]
    },
    async create({ name, nodeId, serverType, location, userData }, signal) {
      return await ask('POST', '/servers', HostServer, signal, { name, nodeId, serverType, location, userData })
    },
    async list(signal): Promise<Server[]> {
      return (await ask('GET', '/servers', HostServers, signal)).servers
    },
    async remove(serverId, signal) {
      await ask('DELETE', `/servers/${encodeURIComponent(serverId)}`, Type.Undefined(), signal)
    },
    // Addresses are this computer's own: none is paid for.
    leftovers: async () => [],
    removeLeftover: async () => undefined,
  }
}

async function call<T extends TSchema>(socketPath: string, method: string, path: string, schema: T, signal: AbortSignal, body?: unknown): Promise<Static<T>> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(DEADLINE_MS)])
  const { status, text } = await exchange(socketPath, method, path, limit, body).catch((error: NodeJS.ErrnoException) => {
    signal.throwIfAborted()
    // What was never sent was not done.
    const unsent = error.syscall === 'connect'
    throw new CloudError(
      unsent || method === 'GET' ? 'away' : 'unknown_outcome',
      error.code ?? error.name,
      `the machine host does not answer: ${error.message}`,
      {
        cause: error,
      },
    )
  })
  const answer = parse(text)
  if (status < 300 && Value.Check(schema, answer)) return answer
  if (Value.Check(HostFault, answer)) throw new CloudError(KINDS[answer.code] ?? 'away', answer.code, answer.message)
  throw new CloudError('away', `http_${status}`, `the machine host answered ${status}`)
}

function exchange(socketPath: string, method: string, path: string, signal: AbortSignal, body?: unknown): Promise<{ status: number; text: string }> {
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number; text: string }>()
  const request = httpRequest({ socketPath, method, path, signal, headers: { 'content-type': 'application/json' } }, (response) => {
    let text = ''
    response.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
    })
    response.on('error', reject)
    response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
  })
  request.on('error', reject)
  request.end(body === undefined ? undefined : JSON.stringify(body))
  return promise
}

function parse(text: string): unknown {
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
