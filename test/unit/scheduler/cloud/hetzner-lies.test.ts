import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cloudError, openHetzner } from '../../../harness/hetzner/client.ts'
import type { Fault } from '../../../harness/hetzner/faults.ts'

const LIST = { method: 'GET', route: '/servers' } as const
const ORDER = { method: 'POST', route: '/servers' } as const
type Answer = Record<string, unknown>
type ServerAnswer = { name: string; created: string; labels: Record<string, string> }

/** A list with each server changed. */
const servers = (change: (server: ServerAnswer) => object): NonNullable<Fault['rewrite']> => {
  return (answer) => ({ ...answer, servers: (answer.servers as ServerAnswer[]).map((server) => ({ ...server, ...change(server) })) })
}
const paged = (answer: Answer, next_page: number | null) => ({ ...answer, meta: { pagination: { next_page, total_entries: 1 } } })

for (const [what, labels] of [
  ['of another installation', { 'rgrid-installation': 'theirs', 'rgrid-node': 'node_000000000009' }],
  ['of nobody', {}],
] as const) {
  test(`a list that does not keep to its selector: servers ${what} are no machines of ours, nor are their addresses`, async () => {
    await using pair = await openHetzner()
    const { cloud, order, signal, standIn } = pair
    await cloud.create(order(), signal)
    standIn.faults.add({ ...LIST, times: 2, rewrite: servers(() => ({ labels })) })
    // One that never saw the order, as after a restart.
    const again = pair.again()
    assert.deepEqual(await again.list(signal), [])
    for (const server of standIn.world.servers.values())
      for (const id of [server.ipv4, server.ipv6])
        if (id !== null) {
          const address = standIn.world.addresses.get(id)
          if (address) address.serverId = null
        }
    assert.deepEqual(await again.leftovers(signal), [])
    assert.match(pair.logged.join(''), /without our label/)
  })
}

test('an order that is answered with another server may have been taken, and that one is nobody’s', async () => {
  await using pair = await openHetzner()
  const { cloud, order, signal, standIn } = pair
  for (const change of [{ name: 'database' }, { labels: { 'rgrid-installation': 'theirs' } }]) {
    const wanted = order()
    standIn.faults.add({ ...ORDER, rewrite: (answer) => ({ ...answer, server: { ...(answer.server as object), ...change } }) })
    const error = await cloudError(cloud.create(wanted, signal))
    assert.deepEqual([error.kind, error.code], ['unknown_outcome', 'bad_answer'])
    assert.equal((await cloud.list(signal)).filter(({ name }) => name === wanted.name).length, 1)
  }
})

test('a list without an end is given up, however much its pages say that there is', async () => {
  await using pair = await openHetzner()
  let page = 1
  pair.standIn.faults.add({ ...LIST, times: 10_000, rewrite: (answer) => paged(answer, ++page) })
  const error = await cloudError(pair.cloud.list(pair.signal))
  assert.deepEqual([error.kind, error.code, pair.standIn.calls.length], ['away', 'bad_answer', 200])
})

test('an answer that is too long is not read to its end', async () => {
  await using pair = await openHetzner()
  pair.standIn.faults.add({ ...LIST, rewrite: (answer) => ({ ...answer, padding: 'x'.repeat(17 * 2 ** 20) }) })
  const error = await cloudError(pair.cloud.list(pair.signal))
  assert.deepEqual([error.kind, error.message], ['away', 'Hetzner did not answer: an answer is longer than 16777216 bytes'])
})

test('an error’s words are cut, and hold nothing that a terminal obeys or Postgres cannot store', async () => {
  await using pair = await openHetzner()
  pair.standIn.faults.add({ ...ORDER, error: { code: 'invalid_input', message: `\u001b]0;x\u0007\u0000\ud800${'y'.repeat(1000)}` } })
  const { message } = await cloudError(pair.cloud.create(pair.order(), pair.signal))
  assert.match(message, /^Hetzner says [a-z_]+: {1,2}\]0;x {2}\ufffdy{1,500}$/)
})

for (const net of ['-1.0000000000', 'NaN', 'Infinity', '1e-3', '', '0x10']) {
  test(`a machine is not bought at the price "${net}"`, async () => {
    await using pair = await openHetzner()
    type Type = { prices: { price_hourly: object }[] }
    const priced = (type: Type) => ({ ...type, prices: type.prices.map((price) => ({ ...price, price_hourly: { net, gross: net } })) })
    pair.standIn.faults.add({ route: '/server_types', rewrite: (answer) => ({ ...answer, server_types: (answer.server_types as Type[]).map(priced) }) })
    const offers = await pair.cloud.offers(pair.signal)
    assert.ok(offers.length > 0)
    assert.deepEqual([...new Set(offers.map(({ available }) => available))], [false])
    assert.ok(offers.every(({ error }) => error?.code === 'no_price' || error?.code === 'withdrawn'))
  })
}
