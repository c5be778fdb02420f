import { Type } from '@sinclair/typebox'
import { createAddress, deleteAddress, updateAddress } from './addresses.ts'
import { checkBody, LabelMap, Refusal } from './answer.ts'
import type { Fault } from './faults.ts'
import { checkLabels } from './labels.ts'
import { listed, type Page } from './page.ts'
import { createServer, deleteServer, powerServer, updateServer } from './servers.ts'
import { showAddress, showDatacenter, showGroup, showImage, showOther, showPricing, showServer, showServerType } from './show.ts'
import { checkUnique, getById, makeNamed, type World } from './world.ts'

/** A call that came to its route. */
export interface Call {
  params: readonly string[]
  query: URLSearchParams
  body: unknown
  fault: Fault | undefined
}

/** What a route answers; `page` adds what a list says of its pages. */
export interface Reply {
  status: number
  body?: object
  page?: Page
}

/** A route: `:id` in its path is one part of the address. */
export interface Route {
  method: string
  path: string
  answer(call: Call): Reply
}

const CreateGroup = Type.Object(
  { name: Type.String({ minLength: 1 }), type: Type.Literal('spread'), labels: Type.Optional(LabelMap) },
  { additionalProperties: false },
)

/** Every route of the API that is stood in for. `datacenters` as they were before October 2026, for tools that ask. */
export function makeRoutes(world: World, datacenters: boolean): Route[] {
  const route = (method: string, path: string, answer: Route['answer']): Route => ({ method, path, answer })
  const id = ({ params }: Call) => params[0] ?? ''
  const one = (path: string, key: string, show: (call: Call) => object) => route('GET', path, (call) => ({ status: 200, body: { [key]: show(call) } }))
  const fixed = <T extends { id: number }>(items: readonly T[], what: string, call: Call) =>
    getById(new Map(items.map((item) => [item.id, item])), id(call), what)
  const gone = () => {
    throw new Refusal('deprecated_api_endpoint', 'API functionality was removed', {
      announcement: 'https://docs.hetzner.cloud/changelog#2026-06-02-datacenters-deprecated',
    })
  }

  return [
    route('GET', '/servers', ({ query }) => listed('servers', world.servers.values(), query, (server) => showServer(world, server), ['status'])),
    route('POST', '/servers', ({ body, fault }) => ({ status: 201, body: createServer(world, body, fault) })),
    one('/servers/:id', 'server', (call) => showServer(world, getById(world.servers, id(call), 'server'))),
    route('PUT', '/servers/:id', (call) => ({ status: 200, body: updateServer(world, id(call), call.body) })),
    route('DELETE', '/servers/:id', (call) => ({ status: 200, body: deleteServer(world, id(call)) })),
    route('POST', '/servers/:id/actions/:command', (call) => ({ status: 201, body: powerServer(world, id(call), call.params[1] ?? '') })),

    route('GET', '/actions', ({ query }) => {
      const ids = query.getAll('id').map(Number)
      if (ids.length === 0) throw new Refusal('deprecated_api_endpoint', 'listing arbitrary actions was removed, give ids')
      return listed('actions', world.actions.find(ids), query, world.actions.show, ['status'])
    }),
    one('/actions/:id', 'action', (call) => world.actions.show(world.actions.get(Number(id(call))))),

    route('GET', '/server_types', ({ query }) => listed('server_types', world.types, query, (type) => showServerType(world, type))),
    one('/server_types/:id', 'server_type', (call) => showServerType(world, fixed(world.types, 'server type', call))),
    route('GET', '/locations', ({ query }) => listed('locations', world.locations, query, (location) => location)),
    one('/locations/:id', 'location', (call) => fixed(world.locations, 'location', call)),
    route('GET', '/datacenters', ({ query }) =>
      datacenters ? listed('datacenters', world.locations, query, (location) => showDatacenter(world, location)) : gone(),
    ),
    one('/pricing', 'pricing', () => showPricing(world)),
    route('GET', '/images', ({ query }) => listed('images', world.images, query, showImage, ['architecture', 'type'])),
    one('/images/:id', 'image', (call) => showImage(fixed(world.images, 'image', call))),

    route('GET', '/networks', ({ query }) => listed('networks', world.networks.values(), query, (item) => showOther('networks', item))),
    one('/networks/:id', 'network', (call) => showOther('networks', getById(world.networks, id(call), 'network'))),
    route('GET', '/firewalls', ({ query }) => listed('firewalls', world.firewalls.values(), query, (item) => showOther('firewalls', item))),
    one('/firewalls/:id', 'firewall', (call) => showOther('firewalls', getById(world.firewalls, id(call), 'firewall'))),
    route('GET', '/ssh_keys', ({ query }) => listed('ssh_keys', world.sshKeys.values(), query, (item) => showOther('ssh_keys', item))),
    one('/ssh_keys/:id', 'ssh_key', (call) => showOther('ssh_keys', getById(world.sshKeys, id(call), 'SSH key'))),

    route('GET', '/primary_ips', ({ query }) => listed('primary_ips', world.addresses.values(), query, showAddress, ['ip'])),
    route('POST', '/primary_ips', ({ body }) => ({ status: 201, body: createAddress(world, body) })),
    one('/primary_ips/:id', 'primary_ip', (call) => showAddress(getById(world.addresses, id(call), 'primary IP'))),
    route('PUT', '/primary_ips/:id', (call) => ({ status: 200, body: updateAddress(world, id(call), call.body) })),
    route('DELETE', '/primary_ips/:id', (call) => {
      deleteAddress(world, id(call))
      return { status: 204 }
    }),

    route('GET', '/placement_groups', ({ query }) => listed('placement_groups', world.groups.values(), query, (group) => showGroup(world, group), ['type'])),
    route('POST', '/placement_groups', ({ body }) => ({ status: 201, body: createGroup(world, body) })),
    one('/placement_groups/:id', 'placement_group', (call) => showGroup(world, getById(world.groups, id(call), 'placement group'))),
    route('DELETE', '/placement_groups/:id', (call) => {
      const group = getById(world.groups, id(call), 'placement group')
      world.groups.delete(group.id)
      for (const server of world.servers.values()) if (server.group === group.id) server.group = null
      return { status: 204 }
    }),
  ]
}

function createGroup(world: World, body: unknown): object {
  const { name, labels = {} } = checkBody(CreateGroup, body)
  checkLabels(labels)
  checkUnique(world.groups, name, 'placement group')
  if (world.groups.size >= world.options.limits.groups) {
    throw new Refusal('resource_limit_exceeded', 'placement group limit exceeded', { limits: [{ name: 'placement_group_limit' }] })
  }
  const group = makeNamed(world, name, labels)
  world.groups.set(group.id, group)
  return { placement_group: showGroup(world, group), action: null }
}
