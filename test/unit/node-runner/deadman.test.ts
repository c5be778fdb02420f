import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { createLoop } from '#core/service/loop.ts'
import { monotonicMs } from '#core/service/time.ts'
import { createDeadman } from '../../../node-runner/deadman.ts'

const log = pino({ level: 'silent' })

/** A switch with a limit; `off` resolves when it is thrown, `stop` ends it. */
function aSwitch(limitMs: number, busy = () => false) {
  const { promise: off, resolve } = Promise.withResolvers<number>()
  const lines: string[] = []
  const heardBy = {
    ...log,
    error: (_: unknown, text: string) => lines.push(text),
    fatal: (_: unknown, text: string) => lines.push(text),
    info: () => undefined,
  }
  const deadman = createDeadman({ limitMs, log: heardBy as unknown as typeof log, busy, off: async () => resolve(monotonicMs()) })
  return { ...deadman, off, lines, stop: () => deadman.loop.stop() }
}

test('a machine that nobody answers goes off after the limit, and says so twice before', async () => {
  const begunMs = monotonicMs()
  const deadman = aSwitch(200)
  await deadman.loop.start()
  assert.ok((await deadman.off) - begunMs > 200)
  await deadman.stop()
  assert.match(deadman.lines.join('\n'), /if it stays so, this machine switches itself off\n.*for too long/)
})

test('each answer gives it the whole limit anew', async () => {
  const begunMs = monotonicMs()
  const deadman = aSwitch(300)
  let answers = 0
  const answering = createLoop({
    name: 'answers',
    everyMs: 50,
    log,
    async round() {
      if (answers++ < 12) deadman.heard()
    },
  })
  await deadman.loop.start()
  await answering.start()
  assert.ok((await deadman.off) - begunMs > 600)
  assert.ok(answers > 12)
  await Promise.all([deadman.stop(), answering.stop()])
})

test('while a job runs it stays on, and from the end of the job the limit holds', async () => {
  const begunMs = monotonicMs()
  const endsMs = begunMs + 600
  const deadman = aSwitch(200, () => monotonicMs() < endsMs)
  await deadman.loop.start()
  assert.ok((await deadman.off) > endsMs + 100)
  await deadman.stop()
})

test('without a limit it never goes off', async () => {
  const deadman = aSwitch(0)
  let rounds = 0
  const { promise, resolve } = Promise.withResolvers<void>()
  const counting = createLoop({ name: 'count', everyMs: 20, log, round: async () => void (++rounds > 10 && resolve()) })
  await deadman.loop.start()
  await counting.start()
  assert.equal(await Promise.race([promise.then(() => 'on'), deadman.off.then(() => 'off')]), 'on')
  await Promise.all([deadman.stop(), counting.stop()])
})
