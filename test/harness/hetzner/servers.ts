import { type Static, Type } from '@sinclair/typebox'
import type { Action } from './actions.ts'
import { makeAddress, releaseAddresses } from './addresses.ts'
import { checkBody, checkHostname, IdOrName, invalidField, LabelMap, Refusal } from './answer.ts'
import { priceMicrons } from './bill.ts'
import type { Image, Location, ServerType } from './catalogue.ts'
import type { Fault } from './faults.ts'
import { checkLabels } from './labels.ts'
import { showServer } from './show.ts'
import { checkUnique, findNamed, getById, type ServerRecord, type World } from './world.ts'

const Ids = Type.Array(Type.Integer({ minimum: 1 }))
const MAX_USER_DATA_BYTES = 32 * 1024
const MAX_GROUP_SERVERS = 10

/** https://docs.hetzner.cloud/reference/cloud#tag/servers/create_server; `datacenter` went with the data centres. */
const CreateServer = Type.Object(
  {
    name: Type.String(),
    server_type: IdOrName,
    image: IdOrName,
    location: Type.Optional(IdOrName),
    start_after_create: Type.Optional(Type.Boolean()),
    placement_group: Type.Optional(Type.Integer({ minimum: 1 })),
    ssh_keys: Type.Optional(Type.Array(IdOrName)),
    volumes: Type.Optional(Type.Array(Type.Integer(), { maxItems: 0 })),
    networks: Type.Optional(Ids),
    firewalls: Type.Optional(Type.Array(Type.Object({ firewall: Type.Integer({ minimum: 1 }) }, { additionalProperties: false }))),
    user_data: Type.Optional(Type.String()),
    labels: Type.Optional(LabelMap),
    automount: Type.Optional(Type.Boolean()),
    public_net: Type.Optional(
      Type.Object(
        {
          enable_ipv4: Type.Optional(Type.Boolean()),
          enable_ipv6: Type.Optional(Type.Boolean()),
          ipv4: Type.Optional(Type.Union([Type.Integer(), Type.Null()])),
          ipv6: Type.Optional(Type.Union([Type.Integer(), Type.Null()])),
        },
        { additionalProperties: false },
      ),
    ),
  },
  { additionalProperties: false },
)
type CreateServer = Static<typeof CreateServer>

/** Takes an order, or refuses it for what is wrong with it. */
export function createServer(world: World, body: unknown, fault: Fault | undefined): object {
  const order = checkBody(CreateServer, body)
  const { type, location, image } = checkOrder(world, order)
  const server: ServerRecord = {
    id: world.nextId(),
    name: order.name,
    labels: order.labels ?? {},
    createdMs: world.now(),
    status: 'initializing',
    type,
    location,
    image,
    userData: order.user_data ?? '',
    ipv4: null,
    ipv6: null,
    networks: order.networks ?? [],
    firewalls: order.firewalls?.map(({ firewall }) => firewall) ?? [],
    group: order.placement_group ?? null,
    protected: false,
    bootAtMs: null,
    bootMs: fault?.stuckBoot ? Number.POSITIVE_INFINITY : (fault?.bootMs ?? world.options.bootMs),
    booted: null,
  }
  const net = order.public_net ?? {}
  for (const [kind, wanted] of [
    ['ipv4', net.enable_ipv4],
    ['ipv6', net.enable_ipv6],
  ] as const) {
    if (wanted !== false) server[kind] = makeAddress(world, { kind, location, serverId: server.id, autoDelete: fault?.keepAddresses !== true }).id
  }
  world.servers.set(server.id, server)
  world.bill.open({ kind: 'server', id: server.id, name: server.name, serverType: type.name, location: location.name, hourMicrons: priceMicrons(type.hourly) })
  const created = world.actions.begin({
    command: 'create_server',
    resources: [{ id: server.id, type: 'server' }],
    durationMs: world.options.createMs,
    error: fault?.actionError ?? null,
    onEnd: () => void (server.status = 'off'),
  })
  const next = order.start_after_create === false || fault?.actionError ? [] : [start(world, server, created.endMs)]
  return {
    server: showServer(world, server),
    action: world.actions.show(created),
    next_actions: next.map(world.actions.show),
    root_password: order.ssh_keys?.length ? null : 'YItygq1v3GYjjMomLaKc',
  }
}

/** Everything that is looked at before anything is made. */
function checkOrder(world: World, order: CreateServer): { type: ServerType; location: Location; image: Image } {
  checkHostname(order.name)
  if (order.labels) checkLabels(order.labels)
  if (Buffer.byteLength(order.user_data ?? '') > MAX_USER_DATA_BYTES) throw invalidField('user_data', 'Length must be at most 32768.')
  checkUnique(world.servers, order.name, 'server')
  const type = findNamed(world.types, order.server_type)
  if (!type) throw invalidField('server_type', 'server type not found')
  const location = findNamed(world.locations, order.location ?? 'fsn1')
  if (!location) throw invalidField('location', 'location not found')
  const place = type.places.get(location.name)
  if (!place) throw new Refusal('invalid_input', 'unsupported location for server type')
  if (place.deprecation && Date.parse(place.deprecation.unavailable_after) <= world.now()) {
    throw new Refusal('invalid_server_type', `server type ${type.id} is deprecated`)
  }
  if (!place.available) throw new Refusal('resource_unavailable', 'error during placement')
  const image =
    world.images.find(({ id }) => String(id) === String(order.image)) ??
    world.images.find((one) => one.name === order.image && one.architecture === type.architecture)
  if (!image) throw invalidField('image', 'image not found')
  if (image.architecture !== type.architecture) throw invalidField('image', 'Image architecture does not match server type architecture')
  for (const id of order.networks ?? []) if (!world.networks.has(id)) throw invalidField('networks', `network ${id} not found`)
  for (const { firewall } of order.firewalls ?? []) if (!world.firewalls.has(firewall)) throw invalidField('firewalls', `firewall ${firewall} not found`)
  for (const key of order.ssh_keys ?? []) if (!findNamed(world.sshKeys.values(), key)) throw invalidField('ssh_keys', `SSH key ${key} not found`)
  if (order.placement_group !== undefined) {
    const group = getById(world.groups, order.placement_group, 'placement group')
    const members = [...world.servers.values()].filter((server) => server.group === group.id).length
    if (members >= MAX_GROUP_SERVERS) throw new Refusal('placement_error', 'an error during the placement occurred')
  }
  const net = order.public_net ?? {}
  if (net.enable_ipv4 === false && net.enable_ipv6 === false && !order.networks?.length) throw invalidField('public_net', 'no public or private network')
  if (world.servers.size >= world.options.limits.servers) {
    throw new Refusal('resource_limit_exceeded', 'server limit exceeded', { limits: [{ name: 'server_limit' }] })
  }
  const wanted = [net.enable_ipv4, net.enable_ipv6].filter((one) => one !== false).length
  if (world.addresses.size + wanted > world.options.limits.addresses) {
    throw new Refusal('resource_limit_exceeded', 'primary IP limit exceeded', { limits: [{ name: 'primary_ip_limit' }] })
  }
  return { type, location, image }
}

function start(world: World, server: ServerRecord, atMs: number): Action {
  return world.actions.begin({
    command: 'start_server',
    resources: [{ id: server.id, type: 'server' }],
    startMs: atMs,
    durationMs: world.options.startMs,
    onEnd(endMs) {
      server.status = 'running'
      server.bootAtMs = Number.isFinite(server.bootMs) ? endMs + server.bootMs : null
    },
  })
}

/** Deletes a server: its hours end now, it goes in a moment. A server on which an action runs is locked. */
export function deleteServer(world: World, id: string): object {
  const server = getById(world.servers, id, 'server')
  if (server.protected) throw new Refusal('protected', 'server deletion is protected')
  checkUnlocked(world, server)
  server.status = 'deleting'
  server.bootAtMs = null
  server.booted?.kill()
  world.bill.close('server', server.id, world.now())
  const action = world.actions.begin({
    command: 'delete_server',
    resources: [{ id: server.id, type: 'server' }],
    durationMs: world.options.deleteMs,
    onEnd(endMs) {
      releaseAddresses(world, server.id, endMs)
      world.servers.delete(server.id)
    },
  })
  return { action: world.actions.show(action) }
}

const UpdateServer = Type.Object({ name: Type.Optional(Type.String()), labels: Type.Optional(LabelMap) }, { additionalProperties: false })

/** Changes a server's name or labels. */
export function updateServer(world: World, id: string, body: unknown): object {
  const server = getById(world.servers, id, 'server')
  const { name, labels } = checkBody(UpdateServer, body)
  if (name !== undefined && name !== server.name) {
    checkHostname(name)
    checkUnique(world.servers, name, 'server')
    server.name = name
  }
  if (labels) {
    checkLabels(labels)
    server.labels = labels
  }
  return { server: showServer(world, server) }
}

/** Switches a server on or off. One that is off costs as before. */
export function powerServer(world: World, id: string, command: string): object {
  const server = getById(world.servers, id, 'server')
  checkUnlocked(world, server)
  if (command === 'poweron') return { action: world.actions.show(start(world, server, world.now())) }
  if (command !== 'poweroff' && command !== 'shutdown') throw new Refusal('not_found', `there is no action ${command}`)
  server.bootAtMs = null
  server.booted?.kill()
  const action = world.actions.begin({
    command: command === 'poweroff' ? 'stop_server' : 'shutdown_server',
    resources: [{ id: server.id, type: 'server' }],
    durationMs: world.options.startMs,
    onEnd: () => void (server.status = 'off'),
  })
  return { action: world.actions.show(action) }
}

function checkUnlocked(world: World, server: ServerRecord): void {
  if (world.actions.busy('server', server.id)) throw new Refusal('locked', 'server is locked')
}

/** Brings up the systems whose time has come. One that ends by itself leaves its server off, and paid for. */
export function bootServers(world: World): void {
  for (const server of world.servers.values()) {
    if (server.bootAtMs === null || server.bootAtMs > world.now()) continue
    server.bootAtMs = null
    const booted = world.options.boot?.(server)
    if (!booted) continue
    server.booted = booted
    void booted.ended.then(() => {
      if (server.booted === booted) server.booted = null
      if (server.status === 'running') server.status = 'off'
    })
  }
}
