/** A place where servers stand. */
export interface Location {
  id: number
  name: string
  description: string
  country: string
  city: string
  latitude: number
  longitude: number
  network_zone: string
}

/** A type of server. What is true of it at a place stands in `places`. */
export interface ServerType {
  id: number
  name: string
  cores: number
  memory: number
  disk: number
  architecture: 'x86' | 'arm'
  cpu_type: 'shared' | 'dedicated'
  category: string
  hourly: string
  monthly: string
  places: Map<string, Place>
}

/** A type of server at a location. */
export interface Place {
  available: boolean
  recommended: boolean
  /** Null: it stays. */
  deprecation: { announced: string; unavailable_after: string } | null
}

/** What servers boot. */
export interface Image {
  id: number
  type: 'system' | 'snapshot'
  name: string | null
  description: string
  os_flavor: string
  os_version: string | null
  architecture: 'x86' | 'arm'
  disk_size: number
}

/** Net, in EUR, of an hour and a month of a public IPv4 address; IPv6 costs nothing. */
export const IPV4_PRICE = { hourly: '0.0008000000', monthly: '0.5000000000' }
/** In percent. */
export const VAT_RATE = 19

const EU = ['fsn1', 'nbg1', 'hel1']

/** The locations that there are. */
export function makeLocations(): Location[] {
  const place = (id: number, name: string, description: string, country: string, city: string, latitude: number, longitude: number, network_zone: string) => ({
    id,
    name,
    description,
    country,
    city,
    latitude,
    longitude,
    network_zone,
  })
  return [
    place(1, 'fsn1', 'Falkenstein DC Park 1', 'DE', 'Falkenstein', 50.47612, 12.370071, 'eu-central'),
    place(2, 'nbg1', 'Nuremberg DC Park 1', 'DE', 'Nuremberg', 49.452102, 11.076665, 'eu-central'),
    place(3, 'hel1', 'Helsinki DC Park 1', 'FI', 'Helsinki', 60.169855, 24.938379, 'eu-central'),
    place(4, 'ash', 'Ashburn, VA', 'US', 'Ashburn, VA', 39.045821, -77.487073, 'us-east'),
  ]
}

/** Types as they were sold in the autumn of 2026, with cx22, which was withdrawn at the end of 2025. */
export function makeServerTypes(): ServerType[] {
  const withdrawn = { announced: '2025-10-16T00:00:00+00:00', unavailable_after: '2025-12-31T00:00:00+00:00' }
  const type = (
    row: readonly [number, string, number, number, number, 'x86' | 'arm', string, string],
    locations: readonly string[],
    deprecation: Place['deprecation'] = null,
  ): ServerType => ({
    id: row[0],
    name: row[1],
    cores: row[2],
    memory: row[3],
    disk: row[4],
    architecture: row[5],
    cpu_type: row[1].startsWith('ccx') ? 'dedicated' : 'shared',
    category: row[1].startsWith('ccx') ? 'Dedicated vCPU' : 'Shared vCPU',
    hourly: row[6],
    monthly: row[7],
    places: new Map(locations.map((name) => [name, { available: deprecation === null, recommended: deprecation === null, deprecation }])),
  })
  return [
    type([104, 'cx22', 2, 4, 40, 'x86', '0.0060000000', '3.7900000000'], EU, withdrawn),
    type([114, 'cx23', 2, 4, 40, 'x86', '0.0088000000', '5.4900000000'], EU),
    type([115, 'cx33', 4, 8, 80, 'x86', '0.0136000000', '8.4900000000'], EU),
    type([116, 'cx43', 8, 16, 160, 'x86', '0.0256000000', '15.9900000000'], EU),
    type([45, 'cax11', 2, 4, 40, 'arm', '0.0096000000', '5.9900000000'], EU),
    type([93, 'cax21', 4, 8, 80, 'arm', '0.0168000000', '10.4900000000'], EU),
    type([94, 'cax31', 8, 16, 160, 'arm', '0.0336000000', '20.9900000000'], EU),
    type([109, 'cpx22', 2, 4, 80, 'x86', '0.0312000000', '19.4900000000'], [...EU, 'ash']),
    type([110, 'cpx32', 4, 8, 160, 'x86', '0.0568000000', '35.4900000000'], [...EU, 'ash']),
    type([111, 'cpx42', 8, 16, 320, 'x86', '0.1112000000', '69.4900000000'], [...EU, 'ash']),
    type([96, 'ccx13', 2, 8, 80, 'x86', '0.0689000000', '42.9900000000'], [...EU, 'ash']),
  ]
}

/** Images: one of each architecture behind a name, and a snapshot, which has none. */
export function makeImages(): Image[] {
  const system = (id: number, name: string, os_flavor: string, os_version: string, architecture: 'x86' | 'arm'): Image => ({
    id,
    type: 'system',
    name,
    description: name,
    os_flavor,
    os_version,
    architecture,
    disk_size: 5,
  })
  return [
    system(114690387, 'debian-12', 'debian', '12', 'x86'),
    system(114690389, 'debian-12', 'debian', '12', 'arm'),
    system(310557660, 'debian-13', 'debian', '13', 'x86'),
    system(310557661, 'debian-13', 'debian', '13', 'arm'),
    system(161547269, 'ubuntu-24.04', 'ubuntu', '24.04', 'x86'),
    system(161547270, 'ubuntu-24.04', 'ubuntu', '24.04', 'arm'),
    { id: 400000001, type: 'snapshot', name: null, description: 'rgrid node', os_flavor: 'debian', os_version: null, architecture: 'x86', disk_size: 40 },
  ]
}
