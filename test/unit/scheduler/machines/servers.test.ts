import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { CloudError, type Server } from '../../../../scheduler/cloud/cloud.ts'
import { createServers, LIST_PACE, serverOf } from '../../../../scheduler/machines/servers.ts'

const log = pino({ level: 'silent' })
const { signal } = new AbortController()
const aServer = (id: string, change: Partial<Server> = {}): Server => ({
  id,
  name: `rgrid-test-${id}`,
  nodeId: null,
  serverType: 'small',
  location: 'here',
  status: 'running',
  createdAtMs: 0,
  ...change,
})

/** A provider with so many machines that counts its calls, one for each page of fifty, and a clock that is moved by hand. */
function aProvider(machines: number) {
  const world = { nowMs: 0, pages: 0, lists: 0, fault: undefined as CloudError | undefined }
  const servers = Array.from({ length: machines }, (_, i) => aServer(String(i)))
  const cloud = {
    async list() {
      world.lists++
      world.pages += Math.max(1, Math.ceil(servers.length / 50))
      if (world.fault) throw world.fault
      return servers
    },
  }
  return { world, reader: createServers(cloud, log, LIST_PACE, () => world.nowMs) }
}

test('all who look share one listing', async () => {
  const { world, reader } = aProvider(1)
  const [a, b] = await Promise.all([reader.read(signal), reader.read(signal)])
  assert.equal(a, b)
  world.nowMs = 59_000
  assert.equal(await reader.read(signal), a)
  assert.deepEqual([world.lists, a?.ageMs()], [1, 59_000])
  world.nowMs = 60_000
  assert.notEqual((await reader.read(signal))?.number, a?.number)
})

test('when a change is expected the provider is asked sooner', async () => {
  const { world, reader } = aProvider(1)
  await reader.read(signal)
  reader.expectChange()
  world.nowMs = 9_000
  await reader.read(signal)
  assert.equal(world.lists, 1)
  world.nowMs = 10_000
  await reader.read(signal)
  assert.equal(world.lists, 2)
})

for (const machines of [1, 100, 250]) {
  test(`${machines} machines that change all the time cost less than 4 % of the calls that are allowed`, async () => {
    const { world, reader } = aProvider(machines)
    const hours = 10
    for (; world.nowMs < hours * 3_600_000; world.nowMs += 1000) {
      reader.expectChange()
      await reader.read(signal)
    }
    assert.ok(world.pages / hours < 3600 * 0.04, `${world.pages / hours} calls an hour`)
    assert.ok(world.lists / hours > 15, `${world.lists / hours} listings an hour`)
  })
}

test('a provider that does not answer is asked again after a while, and nothing old is taken for true', async () => {
  const { world, reader } = aProvider(1)
  await reader.read(signal)
  world.nowMs = 60_000
  world.fault = new CloudError('away', 'x', 'x')
  assert.equal(await reader.read(signal), undefined)
  world.fault = undefined
  world.nowMs = 69_000
  assert.deepEqual([await reader.read(signal), world.lists], [undefined, 2])
  world.nowMs = 70_001
  assert.equal((await reader.read(signal))?.servers.length, 1)
})

test('one that limits calls is left alone until its own time', async () => {
  const { world, reader } = aProvider(1)
  world.fault = new CloudError('rate_limited', 'x', 'x', { retryAtMs: Date.now() + 600_000 })
  await reader.read(signal)
  world.nowMs = 590_000
  await reader.read(signal)
  assert.equal(world.lists, 1)
})

test('the machine of a node is found by its id at the provider, else by name or label', () => {
  const servers = [aServer('1'), aServer('2', { nodeId: 'node_2', name: 'renamed' })]
  const listing = { servers, number: 1, ageMs: () => 0 }
  const find = (serverId: string | null, name: string, nodeId: string) => serverOf(listing, { serverId, name, nodeId })?.id
  assert.equal(find('2', 'rgrid-test-1', 'x'), '2')
  assert.equal(find(null, 'rgrid-test-1', 'x'), '1')
  assert.equal(find(null, 'x', 'node_2'), '2')
  assert.equal(find('3', 'rgrid-test-1', 'node_2'), undefined, 'another machine of that name is not this one')
})
