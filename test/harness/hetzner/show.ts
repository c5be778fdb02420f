import { isoTime } from './answer.ts'
import { type Image, IPV4_PRICE, type Location, type ServerType, VAT_RATE } from './catalogue.ts'
import type { Address, Named, ServerRecord, World } from './world.ts'

/** Net and gross, with ten decimals and more, as Hetzner writes prices. */
export function showPrice(net: string): { net: string; gross: string } {
  const digits = BigInt(net.replace('.', '')) * BigInt(100 + VAT_RATE)
  const text = digits.toString().padStart(13, '0')
  return { net, gross: `${text.slice(0, -12)}.${text.slice(-12)}` }
}

/** A type of server, with its prices and places. */
export function showServerType(world: World, type: ServerType): object {
  const idOf = (name: string) => world.locations.find((one) => one.name === name)?.id
  const places = [...type.places]
  return {
    id: type.id,
    name: type.name,
    description: type.name.toUpperCase(),
    category: type.category,
    cores: type.cores,
    memory: type.memory,
    disk: type.disk,
    storage_type: 'local',
    cpu_type: type.cpu_type,
    architecture: type.architecture,
    deprecated: places.every(([, { deprecation }]) => deprecation !== null),
    deprecation: places[0]?.[1].deprecation ?? null,
    prices: places.map(([location]) => ({
      location,
      price_hourly: showPrice(type.hourly),
      price_monthly: showPrice(type.monthly),
      included_traffic: 21_990_232_555_520,
      price_per_tb_traffic: showPrice('1.0000000000'),
    })),
    locations: places.map(([name, place]) => ({ id: idOf(name), name, ...place })),
  }
}

/** What everything costs. */
export function showPricing(world: World): object {
  const addresses = (type: string, hourly: string, monthly: string) => ({
    type,
    prices: world.locations.map(({ name }) => ({ location: name, price_hourly: showPrice(hourly), price_monthly: showPrice(monthly) })),
  })
  return {
    currency: 'EUR',
    vat_rate: `${VAT_RATE}.00`,
    image: { price_per_gb_month: showPrice('0.0143000000') },
    volume: { price_per_gb_month: showPrice('0.0572000000') },
    server_backup: { percentage: '20.00' },
    floating_ip: { price_monthly: showPrice('3.0000000000') },
    floating_ips: [],
    load_balancer_types: [],
    primary_ips: [addresses('ipv4', IPV4_PRICE.hourly, IPV4_PRICE.monthly), addresses('ipv6', '0.0000000000', '0.0000000000')],
    server_types: world.types.map(({ id, name, hourly, monthly, places }) => ({
      id,
      name,
      prices: [...places.keys()].map((location) => ({
        location,
        price_hourly: showPrice(hourly),
        price_monthly: showPrice(monthly),
        included_traffic: 21_990_232_555_520,
        price_per_tb_traffic: showPrice('1.0000000000'),
      })),
    })),
  }
}

/** An image. */
export function showImage(image: Image): object {
  return {
    ...image,
    status: 'available',
    image_size: image.type === 'snapshot' ? 1.7 : null,
    created: '2026-08-10T00:00:00+00:00',
    created_from: null,
    bound_to: null,
    rapid_deploy: image.type === 'system',
    protection: { delete: false },
    deprecated: null,
    deleted: null,
    labels: {},
  }
}

/** A primary IP. */
export function showAddress({ id, name, type, ip, labels, location, serverId, autoDelete, createdMs }: Address): object {
  return {
    id,
    name,
    type,
    ip,
    labels,
    location,
    assignee_id: serverId,
    assignee_type: serverId === null ? 'unassigned' : 'server',
    auto_delete: autoDelete,
    blocked: false,
    created: isoTime(createdMs),
    dns_ptr: [],
    protection: { delete: false },
  }
}

/** A placement group. */
export function showGroup(world: World, { id, name, labels, createdMs }: Named): object {
  const servers = [...world.servers.values()].filter(({ group }) => group === id).map((server) => server.id)
  return { id, name, labels, type: 'spread', created: isoTime(createdMs), servers }
}

/** A network, firewall or SSH key, with the fields that tools expect. */
export function showOther(kind: 'networks' | 'firewalls' | 'ssh_keys', { id, name, labels, createdMs }: Named): object {
  const base = { id, name, labels, created: isoTime(createdMs) }
  if (kind === 'firewalls') return { ...base, rules: [], applied_to: [] }
  if (kind === 'ssh_keys') return { ...base, fingerprint: 'b7:2f:30:a0:2f:6c:58:6c:21:04:58:61:ba:06:3b:2f', public_key: `ssh-ed25519 AAAA ${name}` }
  return { ...base, ip_range: '10.0.0.0/8', subnets: [], routes: [], servers: [], load_balancers: [], protection: { delete: false } }
}

/** A virtual data centre, as it was shown until October 2026. */
export function showDatacenter(world: World, location: Location): object {
  const ids = world.types.filter(({ places }) => places.has(location.name)).map(({ id }) => id)
  const server_types = { supported: ids, available: ids, available_for_migration: ids }
  return { id: location.id + 1, name: `${location.name}-dc1`, description: `${location.city} 1 virtual DC 1`, location, server_types }
}

/** A server. */
export function showServer(world: World, server: ServerRecord): object {
  const [ipv4, ipv6] = [server.ipv4, server.ipv6].map((id) => (id === null ? undefined : world.addresses.get(id)))
  const group = server.group === null ? undefined : world.groups.get(server.group)
  return {
    id: server.id,
    name: server.name,
    status: server.status,
    created: isoTime(server.createdMs),
    public_net: {
      ipv4: ipv4 ? { id: ipv4.id, ip: ipv4.ip, blocked: false, dns_ptr: `static.${ipv4.ip}.clients.your-server.de` } : null,
      ipv6: ipv6 ? { id: ipv6.id, ip: ipv6.ip, blocked: false, dns_ptr: [] } : null,
      floating_ips: [],
      firewalls: server.firewalls.map((id) => ({ id, status: 'applied' })),
    },
    private_net: server.networks.map((network, i) => ({ network, ip: `10.0.0.${2 + (server.id % 200)}`, alias_ips: [], mac_address: `86:00:00:00:00:0${i}` })),
    server_type: showServerType(world, server.type),
    location: server.location,
    image: showImage(server.image),
    iso: null,
    rescue_enabled: false,
    locked: world.actions.busy('server', server.id),
    backup_window: null,
    outgoing_traffic: 0,
    ingoing_traffic: 0,
    included_traffic: 21_990_232_555_520,
    protection: { delete: server.protected, rebuild: server.protected },
    labels: server.labels,
    volumes: [],
    load_balancers: [],
    primary_disk_size: server.type.disk,
    placement_group: group ? showGroup(world, group) : null,
  }
}
