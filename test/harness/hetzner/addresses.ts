import { Type } from '@sinclair/typebox'
import { checkBody, IdOrName, invalidField, LabelMap, Refusal } from './answer.ts'
import { priceMicrons } from './bill.ts'
import { IPV4_PRICE, type Location } from './catalogue.ts'
import { checkLabels } from './labels.ts'
import { showAddress } from './show.ts'
import { type Address, checkUnique, findNamed, getById, makeNamed, type World } from './world.ts'

/** How an address is made. */
export interface AddressFacts {
  kind: 'ipv4' | 'ipv6'
  location: Location
  serverId: number | null
  autoDelete: boolean
  name?: string
  labels?: Record<string, string>
}

/** Makes a primary IP; those that come with a server have a name of Hetzner's making and no label. */
export function makeAddress(world: World, { kind, location, serverId, autoDelete, name, labels = {} }: AddressFacts): Address {
  const named = makeNamed(world, name ?? '', labels)
  const address: Address = {
    ...named,
    name: name ?? `primary_ip-${named.id}`,
    type: kind,
    ip: kind === 'ipv4' ? `198.18.${(named.id >> 8) % 256}.${named.id % 256}` : `2001:db8:${(named.id % 65_536).toString(16)}::/64`,
    location,
    serverId,
    autoDelete,
  }
  world.addresses.set(address.id, address)
  if (kind === 'ipv4') {
    const facts = { kind: 'address', id: address.id, name: address.name, serverType: null, location: location.name } as const
    world.bill.open({ ...facts, hourMicrons: priceMicrons(IPV4_PRICE.hourly) })
  }
  return address
}

function dropAddress(world: World, address: Address, atMs: number): void {
  world.addresses.delete(address.id)
  world.bill.close('address', address.id, atMs)
}

/** What becomes of a server's addresses when it goes: they go too, or stay, and cost. */
export function releaseAddresses(world: World, serverId: number, atMs: number): void {
  for (const address of world.addresses.values()) {
    if (address.serverId !== serverId) continue
    if (address.autoDelete) dropAddress(world, address, atMs)
    else address.serverId = null
  }
}

const CreateAddress = Type.Object(
  {
    name: Type.String({ minLength: 1 }),
    type: Type.Union([Type.Literal('ipv4'), Type.Literal('ipv6')]),
    assignee_type: Type.Optional(Type.Literal('server')),
    location: Type.Optional(IdOrName),
    auto_delete: Type.Optional(Type.Boolean()),
    labels: Type.Optional(LabelMap),
  },
  { additionalProperties: false },
)

/** Makes an address that belongs to no server. */
export function createAddress(world: World, body: unknown): object {
  const wanted = checkBody(CreateAddress, body)
  if (wanted.labels) checkLabels(wanted.labels)
  checkUnique(world.addresses, wanted.name, 'primary IP')
  const location = findNamed(world.locations, wanted.location ?? 'fsn1')
  if (!location) throw invalidField('location', 'location not found')
  if (world.addresses.size >= world.options.limits.addresses) {
    throw new Refusal('resource_limit_exceeded', 'primary IP limit exceeded', { limits: [{ name: 'primary_ip_limit' }] })
  }
  const { name, type: kind, labels = {}, auto_delete: autoDelete = false } = wanted
  return { primary_ip: showAddress(makeAddress(world, { kind, location, serverId: null, autoDelete, name, labels })) }
}

const UpdateAddress = Type.Object(
  { name: Type.Optional(Type.String({ minLength: 1 })), labels: Type.Optional(LabelMap), auto_delete: Type.Optional(Type.Boolean()) },
  { additionalProperties: false },
)

/** Changes an address. */
export function updateAddress(world: World, id: string, body: unknown): object {
  const address = getById(world.addresses, id, 'primary IP')
  const { name, labels, auto_delete } = checkBody(UpdateAddress, body)
  if (labels) checkLabels(labels)
  Object.assign(address, { name: name ?? address.name, labels: labels ?? address.labels, autoDelete: auto_delete ?? address.autoDelete })
  return { primary_ip: showAddress(address) }
}

/** Deletes an address that is at no server (since May 2026: https://docs.hetzner.cloud/changelog). */
export function deleteAddress(world: World, id: string): void {
  const address = getById(world.addresses, id, 'primary IP')
  if (address.serverId !== null) throw new Refusal('must_be_unassigned', 'the Primary IP must be unassigned to be deleted')
  dropAddress(world, address, world.now())
}
