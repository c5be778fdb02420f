import { type Actions, createActions } from './actions.ts'
import { Refusal } from './answer.ts'
import { type Bill, createBill } from './bill.ts'
import { type Image, type Location, makeImages, makeLocations, makeServerTypes, type ServerType } from './catalogue.ts'
import type { Labels } from './labels.ts'

/** Whatever has an id and a name. */
export interface Named {
  id: number
  name: string
  labels: Labels
  createdMs: number
}

/** A public address of its own. */
export interface Address extends Named {
  type: 'ipv4' | 'ipv6'
  ip: string
  location: Location
  serverId: number | null
  autoDelete: boolean
}

/** A server that boots; `kill` ends what it runs, `ended` is when that ended by itself or by being killed. */
export interface Booted {
  /** Of the process, when it is one. */
  pid?: number | undefined
  kill(): void
  ended: Promise<void>
}

/** A server. */
export interface ServerRecord extends Named {
  status: 'initializing' | 'starting' | 'running' | 'off' | 'deleting'
  type: ServerType
  location: Location
  image: Image
  userData: string
  ipv4: number | null
  ipv6: number | null
  networks: number[]
  firewalls: number[]
  group: number | null
  protected: boolean
  /** When its system comes up; null: never, or it has. */
  bootAtMs: number | null
  bootMs: number
  booted: Booted | null
}

/** How long things take, and how many there may be. */
export interface WorldOptions {
  now: () => number
  createMs: number
  startMs: number
  deleteMs: number
  /** From running to the first command of the system. */
  bootMs: number
  limits: { servers: number; addresses: number; groups: number }
  /** What a server runs; nothing when absent. */
  boot?: ((server: ServerRecord) => Booted | undefined) | undefined
}

/** A project and everything in it. */
export interface World {
  options: WorldOptions
  now(): number
  nextId(): number
  locations: Location[]
  types: ServerType[]
  images: Image[]
  servers: Map<number, ServerRecord>
  addresses: Map<number, Address>
  groups: Map<number, Named>
  networks: Map<number, Named>
  firewalls: Map<number, Named>
  sshKeys: Map<number, Named>
  actions: Actions
  bill: Bill
}

/** An empty project. */
export function createWorld(options: WorldOptions): World {
  let lastId = 1_000_000
  const nextId = () => ++lastId
  return {
    options,
    now: options.now,
    nextId,
    locations: makeLocations(),
    types: makeServerTypes(),
    images: makeImages(),
    servers: new Map(),
    addresses: new Map(),
    groups: new Map(),
    networks: new Map(),
    firewalls: new Map(),
    sshKeys: new Map(),
    actions: createActions(options.now, nextId),
    bill: createBill(options.now),
  }
}

/** Makes something with a name. */
export function makeNamed(world: World, name: string, labels: Labels = {}): Named {
  return { id: world.nextId(), name, labels, createdMs: world.now() }
}

/** The one that a list has by its id or name. */
export function findNamed<T extends { id: number; name: string | null }>(items: Iterable<T>, wanted: number | string): T | undefined {
  const all = [...items]
  return all.find(({ id }) => String(id) === String(wanted)) ?? all.find(({ name }) => name === wanted)
}

/** The one with that id, or the refusal that there is none. */
export function getById<T>(items: ReadonlyMap<number, T>, id: string | number, what: string): T {
  const item = items.get(Number(id))
  if (!item) throw new Refusal('not_found', `${what} with ID '${id}' not found`)
  return item
}

/** Refuses a name that another one has. */
export function checkUnique(items: ReadonlyMap<number, Named>, name: string, what: string): void {
  for (const item of items.values()) {
    if (item.name === name) throw new Refusal('uniqueness_error', `${what} name is already used`, { fields: [{ name: 'name', messages: ['must be unique'] }] })
  }
}
