import { type Static, Type } from '@sinclair/typebox'

/**
 * What is read of Hetzner's answers, of the fields that https://docs.hetzner.cloud/reference/cloud documents. An answer that does
 * not fit is an error; fields that are not named here may come and go. The root password of a new server is not named, so that
 * nothing can hold it.
 */
const Id = Type.Integer({ minimum: 1 })
const Labels = Type.Record(Type.String(), Type.String())
const Price = Type.Object({ location: Type.String(), price_hourly: Type.Object({ net: Type.String() }) })
const Address = Type.Union([Type.Null(), Type.Object({ id: Type.Optional(Type.Union([Id, Type.Null()])) })])

const Count = Type.Union([Type.Integer(), Type.Null()])

/** A page of a list says which one follows, and how many entries all of them have. */
export const Paged = Type.Object({ meta: Type.Object({ pagination: Type.Object({ next_page: Count, total_entries: Count }) }) })

/** An action: something that takes a while. */
export const HetznerAction = Type.Object({
  id: Id,
  status: Type.Union([Type.Literal('running'), Type.Literal('success'), Type.Literal('error')]),
  error: Type.Union([Type.Null(), Type.Object({ code: Type.String(), message: Type.String() })]),
})
/** See the schema of the same name. */
export type HetznerAction = Static<typeof HetznerAction>

/** A server. Its location stood in `datacenter` until July 2026. */
export const HetznerServer = Type.Object({
  id: Id,
  name: Type.String(),
  status: Type.String(),
  created: Type.String(),
  labels: Labels,
  server_type: Type.Object({ name: Type.String() }),
  location: Type.Object({ name: Type.String() }),
  public_net: Type.Object({ ipv4: Address, ipv6: Address }),
})
/** See the schema of the same name. */
export type HetznerServer = Static<typeof HetznerServer>

/** A type of server, with where it is to be had and for how much. */
export const HetznerServerType = Type.Object({
  name: Type.String(),
  cores: Type.Integer({ minimum: 1 }),
  /** GB, of 2^30 bytes. */
  memory: Type.Number({ exclusiveMinimum: 0 }),
  architecture: Type.String(),
  prices: Type.Array(Price),
  locations: Type.Array(
    Type.Object({
      name: Type.String(),
      available: Type.Boolean(),
      recommended: Type.Boolean(),
      deprecation: Type.Union([Type.Null(), Type.Object({ announced: Type.String(), unavailable_after: Type.String() })]),
    }),
  ),
})
/** See the schema of the same name. */
export type HetznerServerType = Static<typeof HetznerServerType>

/** What things cost, of which addresses are read here; server types have their prices with them. */
export const HetznerPricing = Type.Object({
  currency: Type.String(),
  primary_ips: Type.Array(Type.Object({ type: Type.String(), prices: Type.Array(Price) })),
})
/** See the schema of the same name. */
export type HetznerPricing = Static<typeof HetznerPricing>

/** An address that is paid for on its own. */
export const HetznerAddress = Type.Object({
  id: Id,
  name: Type.String(),
  type: Type.String(),
  created: Type.String(),
  labels: Labels,
  assignee_id: Type.Union([Type.Null(), Type.Integer()]),
  /** Whether it goes with its server. */
  auto_delete: Type.Boolean(),
})
/** See the schema of the same name. */
export type HetznerAddress = Static<typeof HetznerAddress>

/** A group whose servers stand on different hosts. */
export const HetznerGroup = Type.Object({ id: Id, name: Type.String(), labels: Labels, servers: Type.Array(Type.Integer()) })
/** See the schema of the same name. */
export type HetznerGroup = Static<typeof HetznerGroup>

/** Whatever has an id and a name: networks, firewalls. */
export const HetznerNamed = Type.Object({ id: Id, name: Type.String() })
/** See the schema of the same name. */
export type HetznerNamed = Static<typeof HetznerNamed>

/** The answer to an order of a server. */
export const HetznerCreated = Type.Object({ server: HetznerServer, action: HetznerAction, next_actions: Type.Array(HetznerAction) })
/** See the schema of the same name. */
export type HetznerCreated = Static<typeof HetznerCreated>
