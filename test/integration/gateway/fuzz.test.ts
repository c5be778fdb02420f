import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { fuzz } from '../../fuzz/rounds.ts'
import { startWorld, type World } from '../../fuzz/world.ts'

let world: World
before(async () => {
  world = await startWorld()
})
after(() => world.stop())

test('no request breaks the gateway, hangs, is refused without a known code, or stores something though it is refused', async () => {
  const { requests, repeats, counts, failures } = await fuzz(world, 1000, 7)
  assert.deepEqual(failures, [])
  assert.ok(requests >= 1000 && repeats > 400, `${requests} requests, ${repeats} repeats`)
  assert.equal(counts.size, world.operations.length, 'every route was asked')
  const of = (status: number) => [...counts.values()].reduce((sum, byStatus) => sum + (byStatus.get(status) ?? 0), 0)
  // What is taken, and each way to be refused: else the requests would be no test of anything.
  for (const status of [200, 201, 204, 400, 401, 403, 404, 409, 422]) assert.ok(of(status) > 0, `none was ${status}`)
})
