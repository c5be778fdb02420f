import assert from 'node:assert/strict'
import { test } from 'node:test'
import { cloudError, openHetzner } from '../../../harness/hetzner/client.ts'

const HOUR_MS = 3_600_000
const SECOND_MS = 1000
const NODES = 100

test('a hundred machines in steady state take less than a tenth of the calls that a project has', async () => {
  await using pair = await openHetzner({}, { createMs: 8000, startMs: 5000, deleteMs: 3000 })
  const { cloud, clock, order, signal, standIn } = pair
  for (let i = 0; i < NODES; i++) {
    await cloud.create(order(), signal)
    await clock.advance(SECOND_MS)
  }
  await cloud.list(signal)
  const before = standIn.calls.length
  // What the loops do when nothing happens: look at machines each minute, at offers each round of 5 s, at leftovers each 5 min.
  for (let second = 0; second < 3600; second += 5) {
    await cloud.offers(signal)
    if (second % 60 === 0) assert.equal((await cloud.list(signal)).length, NODES)
    if (second % 300 === 0) assert.deepEqual(await cloud.leftovers(signal), [])
    await clock.advance(5 * SECOND_MS)
  }
  const calls = standIn.calls.length - before
  assert.ok(calls < 360, `${calls} calls in an hour`)
  assert.ok(calls > 120, 'two pages a minute, at the least')
})

test('a hundred machines that each live an hour take less than half of them', async () => {
  await using pair = await openHetzner({}, { createMs: 8000, startMs: 5000, deleteMs: 3000 })
  const { cloud, clock, order, signal, standIn } = pair
  const alive: string[] = []
  let changedAtMs = 0
  for (let i = 0; i < NODES; i++) {
    alive.push((await cloud.create(order(), signal)).id)
    await clock.advance(36 * SECOND_MS)
  }
  const before = standIn.calls.length
  // One comes and one goes each 36 s, and for half a minute after each the list is read every 10 s.
  for (let second = 0; second < 3600; second += 4) {
    if (second % 36 === 0) {
      alive.push((await cloud.create(order(), signal)).id)
      await cloud.remove(alive.shift() ?? '', signal)
      changedAtMs = clock.now()
    }
    await cloud.offers(signal)
    if (second % 60 === 0 || (second % 12 === 0 && clock.now() - changedAtMs < 30 * SECOND_MS)) await cloud.list(signal)
    if (second % 300 === 0) await cloud.leftovers(signal)
    await clock.advance(4 * SECOND_MS)
  }
  const calls = standIn.calls.length - before
  assert.ok(calls < 1800, `${calls} calls in an hour`)
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
