import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { createDeadman } from '../../../node-runner/deadman.ts'

const LIMIT_MS = 600_000

/** A switch by a clock that stands still; `lookAfter` moves the clock and lets it look once more. Stop it in the end. */
async function aSwitch(limitMs: number) {
  const world = { nowMs: 0, busy: false, off: false }
  const lines: string[] = []
  let looked = () => {}
  const deadman = createDeadman({
    limitMs,
    log: pino({ level: 'info' }, { write: (line: string) => void lines.push(JSON.parse(line).msg) }),
    // Asked once in each look, which goes on from here to its end without a pause.
    busy() {
      looked()
      return world.busy
    },
    async off() {
      world.off = true
    },
    clockMs: () => world.nowMs,
  })
  await deadman.loop.start()
  const lookAfter = async (ms: number) => {
    world.nowMs += ms
    const { promise, resolve } = Promise.withResolvers<void>()
    looked = resolve
    deadman.loop.kick()
    await promise
    return world.off
  }
  return { heard: deadman.heard, loop: deadman.loop, world, lines, lookAfter }
}

test('a machine that nobody answers goes off after the limit, and says so twice before', async () => {
  const { lookAfter, lines, loop } = await aSwitch(LIMIT_MS)
  assert.equal(await lookAfter(LIMIT_MS / 2), false)
  assert.deepEqual(lines, [])
  assert.equal(await lookAfter(1), false)
  assert.equal(await lookAfter(LIMIT_MS / 2 - 1), false)
  assert.equal(await lookAfter(1), true)
  assert.match(lines.join('\n'), /^.*if it stays so, this machine switches itself off\n.*for too long.*$/)
  await loop.stop()
})

test('each answer gives it the whole limit anew', async () => {
  const { heard, lookAfter, loop } = await aSwitch(LIMIT_MS)
  for (let answers = 0; answers < 12; answers++) {
    assert.equal(await lookAfter(LIMIT_MS), false)
    heard()
  }
  assert.equal(await lookAfter(LIMIT_MS), false)
  assert.equal(await lookAfter(1), true)
  await loop.stop()
})

test('while a job runs it stays on, and from the end of the job the limit holds', async () => {
  const { world, lookAfter, loop } = await aSwitch(LIMIT_MS)
  world.busy = true
  assert.equal(await lookAfter(10 * LIMIT_MS), false)
  world.busy = false
  assert.equal(await lookAfter(LIMIT_MS), false)
  assert.equal(await lookAfter(1), true)
  await loop.stop()
})

test('without a limit it never goes off', async () => {
  const { world, loop } = await aSwitch(0)
  for (let looks = 0; looks < 3; looks++) {
    world.nowMs += 1000 * LIMIT_MS
    loop.kick()
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.equal(world.off, false)
  await loop.stop()
})
