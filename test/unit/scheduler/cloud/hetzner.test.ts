import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cloudError, openHetzner } from '../../../harness/hetzner/client.ts'

const HOUR_MS = 3_600_000

test('a machine is ordered, listed by its label, and removed', async () => {
  await using pair = await openHetzner({ RGRID_HCLOUD_IMAGE: 'debian-13' })
  const { cloud, clock, order, signal, standIn } = pair
  const wanted = order({ pool: 'gpu', userData: '#cloud-config\nhostname: here\n' })
  const server = await cloud.create(wanted, signal)
  const { nodeId, name, serverType, location } = wanted
  assert.deepEqual(server, { id: server.id, name, nodeId, serverType, location, status: 'starting', createdAtMs: clock.now(), failure: undefined })
  const record = standIn.world.servers.get(Number(server.id))
  assert.deepEqual(record?.labels, { 'rgrid-installation': 'test', 'rgrid-node': nodeId, 'rgrid-pool': 'gpu' })
  assert.equal(record?.userData, wanted.userData)
  assert.deepEqual([record?.image.name, record?.image.architecture], ['debian-13', 'x86'])
  assert.deepEqual(await cloud.list(signal), [{ ...server, status: 'running' }])

  await cloud.remove(server.id, signal)
  assert.deepEqual(await cloud.list(signal), [])
  await cloud.remove(server.id, signal)
})

test('what is not of this installation is neither listed nor taken for a leftover', async () => {
  await using pair = await openHetzner()
  const { cloud, order, signal, standIn } = pair
  const post = (body: object) =>
    fetch(`${standIn.url}/servers`, { method: 'POST', headers: { authorization: `Bearer ${standIn.token}` }, body: JSON.stringify(body) })
  assert.equal((await post({ name: 'a-database', server_type: 'cx23', image: 'debian-13', labels: { 'rgrid-installation': 'other' } })).status, 201)
  await fetch(`${standIn.url}/primary_ips`, {
    method: 'POST',
    headers: { authorization: `Bearer ${standIn.token}` },
    body: JSON.stringify({ name: 'kept-for-later', type: 'ipv4' }),
  })
  const server = await cloud.create(order(), signal)
  assert.deepEqual(
    (await cloud.list(signal)).map(({ id }) => id),
    [server.id],
  )
  assert.deepEqual(await cloud.leftovers(signal), [])
})

test('the states of a server', async () => {
  await using pair = await openHetzner({}, { createMs: 2000, startMs: 3000, deleteMs: 1000 })
  const { cloud, clock, order, signal, standIn } = pair
  const { id } = await cloud.create(order(), signal)
  const status = async () => (await cloud.list(signal))[0]?.status
  assert.equal(await status(), 'starting')
  await clock.advance(5000)
  assert.equal(await status(), 'running')
  const record = standIn.world.servers.get(Number(id))
  assert.ok(record)
  record.status = 'off'
  assert.equal(await status(), 'off')
  await cloud.remove(id, signal)
  assert.equal(await status(), 'deleting')
  await clock.advance(1000)
  assert.equal(await status(), undefined)
})

test('more servers than a page has are listed, each once', async () => {
  await using pair = await openHetzner()
  const { cloud, order, signal, standIn } = pair
  for (let i = 0; i < 123; i++) await cloud.create(order(), signal)
  const before = standIn.calls.length
  const servers = await cloud.list(signal)
  assert.equal(new Set(servers.map(({ nodeId }) => nodeId)).size, 123)
  assert.equal(servers.length, 123)
  const calls = standIn.calls.slice(before).filter(({ route }) => route === '/servers')
  assert.equal(calls.length, 3)
})

test('a list that loses an entry between two pages is read again, so that none is taken for gone', async () => {
  await using pair = await openHetzner()
  const { cloud, order, signal, standIn } = pair
  for (let i = 0; i < 60; i++) await cloud.create(order(), signal)
  const [first] = standIn.world.servers.keys()
  // Between the first page and the second one the oldest goes.
  standIn.faults.add({ method: 'GET', route: '/servers', skip: 1, latencyMs: 1000 })
  const listing = cloud.list(signal)
  while (standIn.calls.filter(({ method, route }) => method === 'GET' && route === '/servers').length < 2) await new Promise((resolve) => setImmediate(resolve))
  standIn.world.servers.delete(first as number)
  await pair.clock.advance(1000)
  assert.equal((await listing).length, 59)
})

test('an order that fails after it was taken is seen, and closes its cell', async () => {
  await using pair = await openHetzner({}, { createMs: 1000 })
  const { cloud, clock, order, signal, standIn, logged } = pair
  standIn.faults.add({ method: 'POST', route: '/servers', actionError: { code: 'resource_unavailable', message: 'error during placement' } })
  const failing = await cloud.create(order(), signal)
  const fine = await cloud.create(order(), signal)
  assert.equal(failing.failure, undefined)
  await clock.advance(1000)
  const servers = await cloud.list(signal)
  assert.deepEqual(
    servers.map(({ id, failure }) => [id, failure?.code]),
    [
      [failing.id, 'resource_unavailable'],
      [fine.id, undefined],
    ],
  )
  const offer = (await cloud.offers(signal)).find(({ serverType, location }) => serverType === 'cx23' && location === 'fsn1')
  assert.deepEqual([offer?.available, offer?.error?.code, offer?.error?.retryAtMs], [false, 'resource_unavailable', clock.now() + 60_000])
  assert.match(logged.join(''), /an order failed after it was taken/)
  // It is known until it is removed.
  assert.equal((await cloud.list(signal))[0]?.failure?.code, 'resource_unavailable')
})

test('all actions under way are looked at in one call, and none when there are none', async () => {
  await using pair = await openHetzner({}, { createMs: 5000 })
  const { cloud, clock, order, signal, standIn } = pair
  for (let i = 0; i < 20; i++) await cloud.create(order(), signal)
  const actionCalls = () => standIn.calls.filter(({ route }) => route.startsWith('/actions'))
  await cloud.list(signal)
  assert.deepEqual(
    actionCalls().map(({ route }) => route),
    ['/actions'],
  )
  await clock.advance(10_000)
  await cloud.list(signal)
  assert.equal(actionCalls().length, 2)
  await cloud.list(signal)
  assert.equal(actionCalls().length, 2)
})

test('network, firewall, keys, and no IPv4 when none is wanted', async () => {
  await using pair = await openHetzner({
    RGRID_HCLOUD_NETWORK: 'jobs',
    RGRID_HCLOUD_FIREWALL: 'role=nodes',
    RGRID_HCLOUD_SSH_KEYS: 'ops, 77',
    RGRID_HCLOUD_IPV4: 'false',
  })
  const { cloud, order, signal, standIn } = pair
  const refused = await cloudError(cloud.create(order(), signal))
  assert.deepEqual([refused.kind, refused.message], ['refused', 'RGRID_HCLOUD_NETWORK: there is nothing that jobs fits'])
  const network = standIn.addNamed('networks', 'jobs')
  standIn.addNamed('firewalls', 'web', { role: 'web' })
  const firewall = standIn.addNamed('firewalls', 'nodes', { role: 'nodes' })
  standIn.addNamed('sshKeys', 'ops')
  standIn.addNamed('sshKeys', '77')
  const { id } = await cloud.create(order(), signal)
  const record = standIn.world.servers.get(Number(id))
  assert.deepEqual([record?.networks, record?.firewalls, record?.ipv4], [[network], [firewall], null])
  assert.notEqual(record?.ipv6, null)
  assert.equal((await cloud.offers(signal))[0]?.hourMicrons, 8800)
  // Names are looked up once.
  const before = standIn.calls.length
  await cloud.create(order(), signal)
  assert.deepEqual(
    standIn.calls.slice(before).map(({ method, route }) => `${method} ${route}`),
    ['POST /servers'],
  )
})

test('Arm machines boot the image for Arm; with a snapshot alone none is offered', async () => {
  await using pair = await openHetzner()
  const arm = { serverType: 'cax11', location: 'fsn1' }
  const { id } = await pair.cloud.create(pair.order(arm), pair.signal)
  assert.equal(pair.standIn.world.servers.get(Number(id))?.image.architecture, 'arm')
  const snapshot = pair.again({ RGRID_HCLOUD_IMAGE: '400000001' })
  assert.deepEqual(
    (await snapshot.offers(pair.signal)).filter(({ arch }) => arch === 'arm64'),
    [],
  )
  assert.equal((await cloudError(snapshot.create(pair.order(arm), pair.signal))).kind, 'no_capacity')
  await snapshot.create(pair.order(), pair.signal)
})

test('machines are spread over groups of ten; one for which no host is left is ordered without', async () => {
  await using pair = await openHetzner({ RGRID_HCLOUD_SPREAD: 'true' })
  const { cloud, order, signal, standIn } = pair
  for (let i = 0; i < 12; i++) await cloud.create(order(), signal)
  await cloud.create(order({ location: 'nbg1' }), signal)
  const groups = () => [...standIn.world.servers.values()].map(({ group }) => (group === null ? null : standIn.world.groups.get(group)?.name))
  const count = (name: string | null) => groups().filter((group) => group === name).length
  assert.deepEqual([count('rgrid-test-fsn1-1'), count('rgrid-test-fsn1-2'), count('rgrid-test-nbg1-1')], [10, 2, 1])
  // A restart finds them again.
  await pair.again().create(order(), signal)
  assert.equal(count('rgrid-test-fsn1-2'), 3)
  standIn.faults.add({ method: 'POST', route: '/servers', grouped: true, error: { code: 'placement_error' } })
  await cloud.create(order(), signal)
  assert.equal(count(null), 1)
  standIn.faults.add({ method: 'POST', route: '/servers', times: 2, error: { code: 'placement_error' } })
  const nowhere = await cloudError(cloud.create(order(), signal))
  assert.deepEqual([nowhere.kind, nowhere.code], ['no_capacity', 'placement_error'])
})

test('addresses that stay when their server goes are leftovers, also after a restart', async () => {
  await using pair = await openHetzner()
  const { cloud, clock, order, signal, standIn } = pair
  standIn.faults.add({ method: 'POST', route: '/servers', keepAddresses: true })
  const lost = await cloud.create(order(), signal)
  const fine = await cloud.create(order(), signal)
  for (const { id } of [lost, fine]) await cloud.remove(id, signal)
  await cloud.list(signal)
  const left = await cloud.leftovers(signal)
  assert.deepEqual(
    left.map(({ kind }) => kind),
    ['address', 'address'],
    'IPv4 and IPv6 of the one',
  )
  assert.equal(standIn.world.addresses.size, 2)
  for (const leftover of left) await cloud.removeLeftover(leftover, signal)
  assert.equal(standIn.world.addresses.size, 0)
  assert.deepEqual(await cloud.leftovers(signal), [])

  // One that would stay is told to go with its server, and gets the label.
  standIn.faults.add({ method: 'POST', route: '/servers', keepAddresses: true })
  const third = await cloud.create(order(), signal)
  await clock.advance(HOUR_MS)
  await cloud.leftovers(signal)
  assert.ok([...standIn.world.addresses.values()].every(({ autoDelete, labels }) => autoDelete && labels['rgrid-installation'] === 'test'))
  for (const address of standIn.world.addresses.values()) address.autoDelete = false
  await cloud.remove(third.id, signal)
  await cloud.list(signal)
  assert.equal((await pair.again().leftovers(signal)).length, 2)
})

test('what it cost is every started hour of machine and address', async () => {
  await using pair = await openHetzner()
  const { cloud, clock, order, signal, standIn } = pair
  const offer = (await cloud.offers(signal)).find(({ serverType, location }) => serverType === 'cx23' && location === 'fsn1')
  const hour = offer?.hourMicrons ?? 0
  assert.equal(hour, 8800 + 800)
  const { id } = await cloud.create(order(), signal)
  assert.equal(standIn.world.bill.totalMicrons(), hour, 'an hour that began is paid')
  await clock.advance(HOUR_MS)
  assert.equal(standIn.world.bill.totalMicrons(), hour)
  await clock.advance(1)
  assert.equal(standIn.world.bill.totalMicrons(), 2 * hour)
  await cloud.remove(id, signal)
  await clock.advance(10 * HOUR_MS)
  await cloud.list(signal)
  assert.equal(standIn.world.bill.totalMicrons(), 2 * hour)
})
