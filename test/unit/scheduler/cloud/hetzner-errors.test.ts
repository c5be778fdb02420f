import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { CloudErrorKind } from '../../../../scheduler/cloud/cloud.ts'
import { cloudError, type HetznerPair, openHetzner } from '../../../harness/hetzner/client.ts'
import type { Fault } from '../../../harness/hetzner/faults.ts'

const ORDER = { method: 'POST', route: '/servers' } as const

/** What an order meets, what it is told to be, and whether its cell is left alone from then on. */
const ORDERS: [string, Fault, CloudErrorKind, string, boolean][] = [
  ['nothing there', { error: { code: 'resource_unavailable', message: 'error during placement' } }, 'no_capacity', 'resource_unavailable', true],
  ['no host', { error: { code: 'placement_error' } }, 'no_capacity', 'placement_error', true],
  ['a withdrawn type', { error: { code: 'invalid_server_type' } }, 'no_capacity', 'invalid_server_type', true],
  [
    'a type that this account may not have there',
    { error: { code: 'invalid_input', message: 'unsupported location for server type' } },
    'no_capacity',
    'invalid_input',
    true,
  ],
  [
    'a location that is wrong',
    { error: { code: 'invalid_input', message: 'invalid input', details: { fields: [{ name: 'location', messages: ['x'] }] } } },
    'no_capacity',
    'invalid_input',
    true,
  ],
  [
    'an image that is wrong',
    { error: { code: 'invalid_input', message: 'image not found for this server type', details: { fields: [{ name: 'image', messages: ['x'] }] } } },
    'refused',
    'invalid_input',
    false,
  ],
  [
    'the limit of the account',
    { error: { code: 'resource_limit_exceeded', message: 'limit', details: { limits: [{ name: 'server_limit' }] } } },
    'limit',
    'resource_limit_exceeded',
    false,
  ],
  ['a full network', { error: { code: 'no_subnet_available' } }, 'limit', 'no_subnet_available', false],
  ['a name that is taken', { error: { code: 'uniqueness_error' } }, 'exists', 'uniqueness_error', false],
  ['a lock', { error: { code: 'locked' } }, 'busy', 'locked', false],
  ['a conflict', { error: { code: 'conflict' } }, 'busy', 'conflict', false],
  ['maintenance', { error: { code: 'maintenance' } }, 'away', 'maintenance', false],
  ['a service that is not there', { error: { code: 'unavailable' } }, 'away', 'unavailable', false],
  ['a wrong token', { error: { code: 'unauthorized' } }, 'refused', 'unauthorized', false],
  ['a token that may not', { error: { code: 'forbidden' } }, 'refused', 'forbidden', false],
  ['a token that may only read', { error: { code: 'token_readonly' } }, 'refused', 'token_readonly', false],
  ['a removed endpoint', { error: { code: 'deprecated_api_endpoint' } }, 'refused', 'deprecated_api_endpoint', false],
  ['an error of the server', { error: { code: 'server_error' } }, 'unknown_outcome', 'server_error', false],
  ['an error of a service', { error: { code: 'service_error' } }, 'unknown_outcome', 'service_error', false],
  ['a gateway that lost it', { error: { code: 'bad_gateway' } }, 'unknown_outcome', 'bad_gateway', false],
  ['a timeout behind the gateway', { error: { code: 'timeout' }, commit: true }, 'unknown_outcome', 'timeout', false],
  ['a proxy without words', { status: 502 }, 'unknown_outcome', 'http_502', false],
  ['a connection that ends', { drop: 'before' }, 'unknown_outcome', 'no_answer', false],
  ['a connection that ends when it was done', { drop: 'after' }, 'unknown_outcome', 'no_answer', false],
]

for (const [what, fault, kind, code, closes] of ORDERS) {
  test(`an order meets ${what}: ${kind}`, async () => {
    await using pair = await openHetzner()
    pair.standIn.faults.add({ ...ORDER, ...fault })
    const error = await cloudError(pair.cloud.create(pair.order(), pair.signal))
    assert.deepEqual([error.kind, error.code], [kind, code])
    const offer = (await pair.cloud.offers(pair.signal)).find(({ serverType, location }) => serverType === 'cx23' && location === 'fsn1')
    assert.equal(offer?.available, !closes)
    assert.doesNotMatch(`${error.message} ${error.stack} ${pair.logged}`, new RegExp(pair.standIn.token))
  })
}

test('the limit that was reached is named', async () => {
  await using pair = await openHetzner({}, { limits: { servers: 1, addresses: 10, groups: 50 } })
  await pair.cloud.create(pair.order(), pair.signal)
  const error = await cloudError(pair.cloud.create(pair.order(), pair.signal))
  assert.equal(error.message, 'Hetzner says resource_limit_exceeded: server limit exceeded (server_limit)')
})

test('a cell that had nothing is not asked again before its time, the next one is', async () => {
  await using pair = await openHetzner()
  const { cloud, clock, order, signal, standIn } = pair
  standIn.faults.add({ ...ORDER, cell: { serverType: 'cx23', location: 'fsn1' }, times: 2, error: { code: 'resource_unavailable' } })
  await cloudError(cloud.create(order(), signal))
  const orders = () => standIn.calls.filter(({ method }) => method === 'POST').length
  const again = await cloudError(cloud.create(order(), signal))
  assert.deepEqual([again.kind, again.retryAtMs, orders()], ['no_capacity', clock.now() + 60_000, 1])
  const next = (await cloud.offers(signal)).find(({ available }) => available)
  assert.deepEqual([next?.serverType, next?.location], ['cx23', 'nbg1'])
  await cloud.create(order({ location: 'nbg1' }), signal)

  await clock.advance(60_000)
  await cloudError(cloud.create(order(), signal))
  const longer = (await cloud.offers(signal)).find(({ available }) => !available)
  assert.equal(longer?.error?.retryAtMs, clock.now() + 120_000)
  await clock.advance(120_000)
  await cloud.create(order(), signal)
  assert.equal((await cloud.offers(signal))[0]?.available, true)
})

test('an order without an answer that was carried out is found by its name', async () => {
  await using pair = await openHetzner()
  const { cloud, order, signal, standIn } = pair
  const impatient = pair.again({ RGRID_HCLOUD_SECONDS: '1' })
  for (const [client, fault] of [
    [cloud, { drop: 'after' }],
    [impatient, { hang: true, commit: true }],
  ] as const) {
    const wanted = order()
    standIn.faults.add({ ...ORDER, ...fault })
    assert.equal((await cloudError(client.create(wanted, signal))).kind, 'unknown_outcome')
    assert.equal((await cloudError(cloud.create(wanted, signal))).kind, 'exists')
    const found = (await cloud.list(signal)).filter(({ name }) => name === wanted.name)
    assert.deepEqual(
      found.map(({ nodeId }) => nodeId),
      [wanted.nodeId],
    )
  }
})

test('a caller that gives up in the middle of an order is told that it may have been taken', async () => {
  await using pair = await openHetzner()
  const { cloud, order, standIn } = pair
  await cloud.offers(pair.signal)
  standIn.faults.add({ ...ORDER, hang: true, commit: true })
  const giveUp = new AbortController()
  const ordering = cloudError(cloud.create(order(), giveUp.signal))
  while (standIn.world.servers.size === 0) await new Promise((resolve) => setImmediate(resolve))
  giveUp.abort()
  assert.equal((await ordering).kind, 'unknown_outcome')
})

test('a deletion: gone is fine, a lock is for later, no answer is tried again', async () => {
  await using pair = await openHetzner({}, { createMs: 1000 })
  const { cloud, clock, order, signal, standIn } = pair
  const { id } = await cloud.create(order(), signal)
  assert.equal((await cloudError(cloud.remove(id, signal))).kind, 'busy')
  await clock.advance(1000)
  for (const [fault, kind] of [
    [{ error: { code: 'conflict' } }, 'busy'],
    [{ error: { code: 'server_error' } }, 'away'],
    [{ error: { code: 'protected' } }, 'refused'],
    [{ drop: 'before' }, 'away'],
    [{ drop: 'after' }, 'away'],
  ] as [Fault, CloudErrorKind][]) {
    standIn.faults.add({ method: 'DELETE', ...fault })
    assert.equal((await cloudError(cloud.remove(id, signal))).kind, kind)
  }
  await cloud.remove(id, signal)
  assert.deepEqual(await cloud.list(signal), [])
  await cloud.remove('99', signal)
})

test('an address that is still at a server is not deleted', async () => {
  await using pair = await openHetzner()
  const { id } = await pair.cloud.create(pair.order(), pair.signal)
  const address = [...pair.standIn.world.addresses.values()].find(({ serverId }) => String(serverId) === id)
  const leftover = { kind: 'address', id: String(address?.id), name: 'x', createdAtMs: 0 } as const
  assert.equal((await cloudError(pair.cloud.removeLeftover(leftover, pair.signal))).kind, 'busy')
})

test('nobody at home: nothing was sent, so nothing can have been done', async () => {
  const pair = await openHetzner()
  await pair.cloud.offers(pair.signal)
  await pair.standIn.stop()
  // The connection that was open is noticed to be none.
  assert.equal((await cloudError(pair.cloud.list(pair.signal))).kind, 'away')
  const error = await cloudError(pair.cloud.create(pair.order(), pair.signal))
  assert.deepEqual([error.kind, error.code], ['away', 'no_answer'])
  assert.match(error.message, /ECONNREFUSED/)
})

test('an answer that is not as documented is no answer', async () => {
  await using pair = await openHetzner()
  const { cloud, order, signal, standIn } = pair
  await cloud.create(order(), signal)
  const [record] = standIn.world.servers.values()
  Object.assign(record as object, { name: null })
  const error = await cloudError(cloud.list(signal))
  assert.deepEqual([error.kind, error.code], ['away', 'bad_answer'])
  assert.match(error.message, /\/servers\/0\/name/)
})

test('while Hetzner does not answer, what could be bought lately is offered, for a quarter of an hour', async () => {
  await using pair = await openHetzner()
  const { cloud, clock, signal, standIn } = pair
  const before = await cloud.offers(signal)
  standIn.faults.add({ route: '/server_types', times: Number.POSITIVE_INFINITY, error: { code: 'unavailable' } })
  await clock.advance(10 * 60_000)
  assert.deepEqual(await cloud.offers(signal), before)
  await clock.advance(10 * 60_000)
  assert.equal((await cloudError(cloud.offers(signal))).kind, 'away')
})

test('stock, withdrawals and prices are as Hetzner says now', async () => {
  await using pair = await openHetzner()
  const { cloud, clock, signal, standIn } = pair
  const names = async () => (await cloud.offers(signal)).filter(({ available }) => available).map(({ serverType, location }) => `${serverType}@${location}`)
  assert.deepEqual((await names()).slice(0, 4), ['cx23@fsn1', 'cx23@nbg1', 'cx23@hel1', 'cpx22@fsn1'])
  const cx23 = standIn.world.types.find(({ name }) => name === 'cx23')
  assert.ok(cx23)
  Object.assign(cx23.places.get('fsn1') as object, { available: false })
  Object.assign(cx23.places.get('nbg1') as object, { deprecation: { announced: '2026-10-01T00:00:00Z', unavailable_after: '2026-11-01T00:00:00Z' } })
  cx23.hourly = '0.0099000000'
  assert.equal((await names())[0], 'cx23@fsn1', 'read lately')
  await clock.advance(2 * 60_000)
  assert.deepEqual((await names()).slice(0, 2), ['cx23@hel1', 'cpx22@fsn1'])
  const codes = (await cloud.offers(signal)).slice(0, 3).map(({ error, hourMicrons }) => [error?.code, hourMicrons])
  assert.deepEqual(codes, [
    ['unavailable', 10_700],
    ['withdrawn', 10_700],
    [undefined, 10_700],
  ])
  const listed = await readAll(pair, { RGRID_HCLOUD_TYPES: 'cx22,no-such-type,cx23' })
  assert.deepEqual([...new Set(listed)], ['cx22', 'cx23'])
})

async function readAll(pair: HetznerPair, env: Record<string, string>): Promise<string[]> {
  return (await pair.again(env).offers(pair.signal)).map(({ serverType }) => serverType)
}
