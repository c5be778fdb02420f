import { createServer, type IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import type { Cell, Cloud, CloudErrorKind, Leftover, Offer, Order, Priced, Server } from '../../../scheduler/cloud/cloud.ts'

/** How a call is to go wrong. `done`: it is done all the same, and only the answer is lost. */
export interface ProviderFault {
  kind: CloudErrorKind
  code?: string
  retryAtMs?: number
  done?: boolean
}

/** A provider of machines in this process, spoken to over HTTP: what it has outlives whoever is killed. */
export interface Provider {
  url: string
  offers: Offer[]
  servers: Server[]
  leftovers: Leftover[]
  /** The cloud-init of each server that was ever made, by its name. */
  userData: Map<string, string>
  /** Names of servers ever made, one for each time. */
  made: string[]
  /** Calls by name. */
  calls: Map<string, number>
  /** Goes wrong for each `create` for which it says so. */
  onCreate(order: Order): ProviderFault | undefined
  /** For every other call. */
  onCall(call: keyof Cloud): ProviderFault | undefined
  close(): Promise<void>
}

class Refusal extends Error {
  readonly fault: ProviderFault
  constructor(fault: ProviderFault) {
    super(fault.code ?? fault.kind)
    this.fault = fault
  }
}

/** An offer with defaults. */
export function anOffer(change: Partial<Priced> = {}): Priced {
  return { serverType: 'small', location: 'here', arch: 'amd64', slots: 2, memoryBytes: 4 * 2 ** 30, hourMicrons: 10_000, available: true, ...change }
}

/** Starts one that sells two-slot machines at three places. Names are unique, deletions show for one listing. */
export async function startProvider(): Promise<Provider> {
  let ids = 0
  const calls: Record<string, (argument: never) => unknown> = {
    offers: () => provider.offers,
    list() {
      const seen = provider.servers.map((server) => ({ ...server }))
      provider.servers = provider.servers.filter((server) => server.status !== 'deleting')
      return seen
    },
    create(order: Order): Server {
      const fault = provider.onCreate(order)
      if (fault && !fault.done) throw new Refusal(fault)
      if (provider.servers.some((server) => server.name === order.name)) throw new Refusal({ kind: 'exists', code: 'uniqueness_error' })
      const { name, nodeId, serverType, location } = order
      const server: Server = { id: String(++ids), name, nodeId, serverType, location, status: 'running', createdAtMs: Date.now() }
      provider.servers.push(server)
      provider.made.push(name)
      provider.userData.set(name, order.userData)
      if (fault) throw new Refusal(fault)
      return server
    },
    remove(id: string) {
      for (const server of provider.servers) if (server.id === id) server.status = 'deleting'
      return null
    },
    leftovers: () => provider.leftovers,
    removeLeftover(leftover: Leftover) {
      provider.leftovers = provider.leftovers.filter(({ id }) => id !== leftover.id)
      return null
    },
  }
  const server = createServer(async (request, response) => {
    const call = String(request.url).slice(1)
    const [argument] = (await readJson(request)) as [never]
    provider.calls.set(call, (provider.calls.get(call) ?? 0) + 1)
    try {
      const fault = provider.onCall(call as keyof Cloud)
      if (fault) throw new Refusal(fault)
      response.end(JSON.stringify({ result: calls[call]?.(argument) }))
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      // No answer at all: the caller cannot know.
      if (error.fault.kind === 'unknown_outcome') return void request.socket.destroy()
      response.writeHead(409).end(JSON.stringify({ fault: error.fault, message: error.message }))
    }
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const cells: Cell[] = ['here', 'there', 'elsewhere'].map((location) => ({ serverType: 'small', location }))
  const provider: Provider = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    offers: cells.map((cell) => anOffer(cell)),
    servers: [],
    leftovers: [],
    userData: new Map(),
    made: [],
    calls: new Map(),
    onCreate: () => undefined,
    onCall: () => undefined,
    async close() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return provider
}

async function readJson(request: IncomingMessage): Promise<unknown> {
  let text = ''
  for await (const chunk of request) text += chunk
  return JSON.parse(text)
}
