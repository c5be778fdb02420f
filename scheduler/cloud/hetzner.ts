import type { Architecture } from '#core/node.ts'
import type { Log } from '#core/service/log.ts'
import { nowMs } from '#core/service/time.ts'
import { createBreakers } from './breakers.ts'
import { type CallBudget, createCallBudget } from './call-budget.ts'
import { type Cloud, CloudError, type Order, type Server } from './cloud.ts'
import { createAddresses } from './hetzner-addresses.ts'
import { createHetznerApi } from './hetzner-api.ts'
import { createCatalogue } from './hetzner-catalogue.ts'
import type { HetznerConfig } from './hetzner-config.ts'
import { createGroups } from './hetzner-groups.ts'
import { createNames } from './hetzner-names.ts'
import { createOrders, lookAtOrders } from './hetzner-orders.ts'
import type { HetznerServer } from './hetzner-schema.ts'
import { buildLadder } from './ladder.ts'

/** What the client needs besides its configuration; the clock and the wait are for tests. */
export interface HetznerDeps {
  /** Value of the label `rgrid-installation`. */
  installation: string
  log: Log
  now?: () => number
  wait?: (ms: number, signal: AbortSignal) => Promise<void>
}

/** Hetzner as a Cloud, with the budget of its calls for whoever measures it. */
export interface Hetzner extends Cloud {
  readonly budget: CallBudget
}

/** https://docs.hetzner.cloud/reference/cloud#tag/servers/create_server */
const MAX_USER_DATA_BYTES = 32 * 1024
/** The default of a project, refilled by one a second. */
const LIMIT_PER_HOUR = 3600
/** A call that would wait for longer is not made. */
const PATIENCE_MS = 10_000
/** A type that is not to be had at a place is not asked for again so soon as one that is out of stock. */
const WITHDRAWN_PAUSE_MS = 3_600_000

/**
 * Hetzner Cloud. Every server carries the labels `rgrid-installation`, `rgrid-node` and `rgrid-pool`; nothing without the first one
 * is listed or removed. See docs/HETZNER.md for what each error leads to and how many calls are made.
 */
export function createHetzner(config: HetznerConfig, deps: HetznerDeps): Hetzner {
  const { installation, log } = deps
  const now = deps.now ?? nowMs
  const budget = createCallBudget({ limitPerHour: LIMIT_PER_HOUR, patienceMs: PATIENCE_MS, now, ...(deps.wait ? { wait: deps.wait } : {}) })
  const api = createHetznerApi({ url: config.url, token: config.token, callMs: config.callMs, budget })
  const breakers = createBreakers(now)
  const catalogue = createCatalogue(api, log, now)
  const groups = createGroups(api, installation, now)
  const names = createNames(api, config, now)
  const orders = createOrders(api, breakers, log, now)
  const addresses = createAddresses(api, installation, now)
  let seen: ReadonlySet<string> = new Set()

  const archs: ReadonlySet<Architecture> = new Set(config.armImage === null ? ['amd64'] : ['amd64', 'arm64'])
  const ladder = { types: config.types, locations: config.locations, archs, paidAddress: config.ipv4 }

  const isOurs = (server: HetznerServer) => server.labels['rgrid-installation'] === installation

  async function imageFor(order: Order, signal: AbortSignal): Promise<string> {
    const cell = (await catalogue.cells(signal)).find(({ serverType }) => serverType === order.serverType)
    const image = cell?.arch === 'arm64' ? config.armImage : config.image
    if (!cell || image === null) throw new CloudError('no_capacity', 'no_such_type', `there is no ${order.serverType}, or no image for it`)
    return image
  }

  async function orderBody(order: Order, signal: AbortSignal): Promise<Record<string, unknown>> {
    const [network, firewalls] = [await names.network(signal), await names.firewalls(signal)]
    return {
      name: order.name,
      server_type: order.serverType,
      location: order.location,
      image: await imageFor(order, signal),
      labels: { 'rgrid-installation': installation, 'rgrid-node': order.nodeId, 'rgrid-pool': order.pool },
      user_data: order.userData,
      start_after_create: true,
      public_net: { enable_ipv4: config.ipv4, enable_ipv6: true },
      ...(config.sshKeys.length > 0 ? { ssh_keys: config.sshKeys } : {}),
      ...(network.length > 0 ? { networks: network } : {}),
      ...(firewalls.length > 0 ? { firewalls: firewalls.map((firewall) => ({ firewall })) } : {}),
    }
  }

  async function place(order: Order, signal: AbortSignal) {
    const body = await orderBody(order, signal)
    const group = config.spread ? await groups.pick(order.location, signal) : null
    if (group === null) return api.createServer(body, signal)
    try {
      return await api.createServer({ ...body, placement_group: group }, signal)
    } catch (error) {
      if (!(error instanceof CloudError) || error.code !== 'placement_error') throw error
      log.info({ cell: `${order.serverType}@${order.location}` }, 'no host is left for this placement group; ordering without one')
      return api.createServer(body, signal)
    }
  }

  return {
    provider: 'hetzner',
    billing: 'hour',
    budget,
    offers: async (signal) => buildLadder(await catalogue.cells(signal), ladder, breakers.fault, now()),

    async create(order, signal) {
      if (Buffer.byteLength(order.userData) > MAX_USER_DATA_BYTES) {
        throw new CloudError('refused', 'user_data_too_long', `user data of ${order.name} is longer than ${MAX_USER_DATA_BYTES} bytes`)
      }
      const fault = breakers.enter(order)
      if (fault) throw new CloudError('no_capacity', fault.code, fault.message, { retryAtMs: fault.retryAtMs })
      try {
        const created = await place(order, signal)
        const server = serverOf(created.server)
        // What was made is what will be deleted one day: an answer about another machine is none.
        if (server.name !== order.name || !isOurs(created.server))
          throw new CloudError('unknown_outcome', 'bad_answer', `the answer to the order of ${order.name} is about another server`)
        addresses.saw(created.server)
        orders.took(server.id, order, [created.action, ...created.next_actions])
        return { ...server, failure: orders.failure(server.id) }
      } catch (error) {
        if (error instanceof CloudError && error.kind === 'no_capacity') {
          breakers.failed(order, error.code, error.message, error.code === 'invalid_server_type' ? WITHDRAWN_PAUSE_MS : undefined)
        } else if (error instanceof CloudError && error.kind === 'refused') names.forget()
        throw error
      } finally {
        breakers.left(order)
      }
    },

    async list(signal) {
      const listed = await api.servers(`rgrid-installation=${installation}`, signal)
      // Whatever is listed may be deleted, so the selector is not all that stands before the machines of others.
      const servers = listed.filter(isOurs)
      if (servers.length < listed.length)
        log.warn({ why: `${listed.length - servers.length} servers` }, 'Hetzner lists servers without our label; they are left alone')
      await lookAtOrders(orders, log, signal)
      const present = new Set(servers.map(({ id }) => String(id)))
      if ([...seen].some((id) => !present.has(id))) addresses.went()
      seen = present
      orders.keep(present)
      for (const server of servers) addresses.saw(server)
      return servers.map((server) => ({ ...serverOf(server), failure: orders.failure(String(server.id)) }))
    },

    async remove(serverId, signal) {
      await api.deleteServer(serverId, signal)
      addresses.went()
    },

    leftovers: (signal) => addresses.leftovers(signal),

    async removeLeftover({ id }, signal) {
      await api.deleteAddress(id, signal)
      addresses.removed(id)
    },
  }
}

const STATUSES: Readonly<Record<string, Server['status']>> = {
  initializing: 'starting',
  starting: 'starting',
  rebuilding: 'starting',
  running: 'running',
  stopping: 'off',
  off: 'off',
  deleting: 'deleting',
}

function serverOf(server: HetznerServer): Server {
  return {
    id: String(server.id),
    name: server.name,
    nodeId: server.labels['rgrid-node'] ?? null,
    serverType: server.server_type.name,
    location: server.location.name,
    // Migrating, or unknown: nothing says that it does not run, and its node says whether it lives.
    status: STATUSES[server.status] ?? 'running',
    createdAtMs: Date.parse(server.created),
  }
}
