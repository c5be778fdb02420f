import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { createServers, LIST_PACE } from '../../../../scheduler/machines/servers.ts'
import { cloudError, openHetzner } from '../../../harness/hetzner/client.ts'

const HOUR_MS = 3_600_000
const SECOND_MS = 1000
const NODES = 100

/** What the loops ask of the provider when they have nothing to order or to delete, with the listing that all of them share. */
function createLooking({ cloud, clock, signal }: Awaited<ReturnType<typeof openHetzner>>) {
  const servers = createServers(cloud, pino({ level: 'silent' }), LIST_PACE, () => clock.now())
  return {
    servers,
    /** A second of them: the sweep looks each half minute, the collector each second while something is on its way; offers, addresses. */
    async second(second: number, underWay: boolean): Promise<void> {
      if (underWay || second % 30 === 0) await servers.read(signal)
      if (second % 600 === 0) {
        await cloud.offers(signal)
        await cloud.leftovers(signal)
      }
      await clock.advance(SECOND_MS)
    },
  }
}

test('a hundred machines in steady state take less than a tenth of the calls that a project has', async () => {
  await using pair = await openHetzner({}, { createMs: 8000, startMs: 5000, deleteMs: 3000 })
  const { cloud, clock, order, signal, standIn } = pair
  for (let i = 0; i < NODES; i++) {
    await cloud.create(order(), signal)
    await clock.advance(SECOND_MS)
  }
  const looking = createLooking(pair)
  const before = standIn.calls.length
  for (let second = 0; second < 3600; second++) await looking.second(second, false)
  const calls = standIn.calls.length - before
  assert.equal((await looking.servers.fresh(signal))?.servers.length, NODES)
  assert.ok(calls < 360, `${calls} calls in an hour`)
  assert.ok(calls > 50, 'two pages each two minutes, at the least')
})

test('a hundred machines that are all replaced in an hour take less than a sixth of them', async () => {
  await using pair = await openHetzner({}, { createMs: 8000, startMs: 5000, deleteMs: 3000 })
  const { cloud, clock, order, signal, standIn } = pair
  const alive: string[] = []
  for (let i = 0; i < NODES; i++) {
    alive.push((await cloud.create(order(), signal)).id)
    await clock.advance(36 * SECOND_MS)
  }
  const looking = createLooking(pair)
  const before = standIn.calls.length
  let changedAt = 0
  for (let second = 0; second < 3600; second++) {
    if (second % 36 === 0) {
      alive.push((await cloud.create(order(), signal)).id)
      await cloud.remove(alive.shift() ?? '', signal)
      looking.servers.expectChange()
      changedAt = second
    }
    // The one that boots is waited for, and the one that is deleted is looked for.
    await looking.second(second, second - changedAt < 60)
  }
  const calls = standIn.calls.length - before
  assert.ok(calls < 600, `${calls} calls in an hour`)
  assert.ok(calls > 300, `${calls} calls in an hour`)
})

test('somebody else used the calls up: none is made before its time, deletions go first, nothing comes at once', async () => {
  await using pair = await openHetzner()
  const { cloud, clock, order, signal, standIn } = pair
  const { id } = await cloud.create(order(), signal)
  standIn.rate.leave(0)
  const refused = await cloudError(cloud.list(signal))
  assert.deepEqual([refused.kind, refused.code], ['rate_limited', 'rate_limit_exceeded'])
  assert.ok((refused.retryAtMs ?? 0) > clock.now())
  // Known to be empty: not even tried.
  const before = standIn.calls.length
  const kept = await cloudError(cloud.list(signal))
  assert.deepEqual([kept.kind, kept.code, standIn.calls.length], ['rate_limited', 'call_budget', before])
  assert.equal(cloud.budget.remaining(), 0)
  // A deletion waits a moment, and gets the first token.
  await cloud.remove(id, signal)
  assert.deepEqual(
    standIn.calls.slice(before).map(({ method }) => method),
    ['DELETE'],
  )
  // Orders get theirs a minute or so later; looking comes last.
  const needed = (await cloudError(cloud.create(order(), signal))).retryAtMs ?? 0
  assert.ok(needed - clock.now() > 60 * SECOND_MS && needed - clock.now() < 90 * SECOND_MS, String(needed - clock.now()))
  await clock.advance(needed - clock.now())
  await cloud.create(order(), signal)
  assert.equal((await cloudError(cloud.list(signal))).kind, 'rate_limited')
  await clock.advance(HOUR_MS / 10)
  assert.equal((await cloud.list(signal)).length, 1)
  assert.equal(standIn.calls.filter(({ atMs }) => atMs >= needed && atMs < needed + SECOND_MS).length, 1)
})

test('what is left is what the headers said', async () => {
  await using pair = await openHetzner()
  const { cloud, signal, standIn } = pair
  await cloud.list(signal)
  assert.equal(cloud.budget.remaining(), 3599)
  standIn.rate.leave(500)
  await cloud.list(signal)
  assert.equal(cloud.budget.remaining(), 499)
  assert.equal(cloud.budget.calls(), 2)
})
