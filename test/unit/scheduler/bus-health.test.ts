import assert from 'node:assert/strict'
import { test } from 'node:test'
import { pino } from 'pino'
import { createBusHealth } from '../../../scheduler/bus-health.ts'

/** A bus whose answers the test gives, one for each round. */
function aBus() {
  const asked: PromiseWithResolvers<void>[] = []
  let next = Promise.withResolvers<PromiseWithResolvers<void>>()
  return {
    ask() {
      const answer = Promise.withResolvers<void>()
      asked.push(answer)
      const told = next
      next = Promise.withResolvers()
      told.resolve(answer)
      return answer.promise
    },
    /** The question of the next round. */
    question: () => next.promise,
  }
}

test('the bus is well from its first answer on, until it gives none', async () => {
  const bus = aBus()
  let nowMs = 0
  const said = Promise.withResolvers<void>()
  const log = pino({ level: 'warn' }, { write: (line: string) => line.includes('no node is taken for lost') && said.resolve() })
  const health = createBusHealth(bus.ask, log, () => nowMs)
  assert.equal(health.wellForMs(), 0, 'before it was asked')
  const first = bus.question()
  await health.loop.start()
  const second = bus.question()
  ;(await first).resolve()
  health.loop.kick()
  const answer = await second
  nowMs += 700
  assert.equal(health.wellForMs(), 700, 'after an answer')
  answer.reject(new Error('cut'))
  await said.promise
  assert.equal(health.wellForMs(), 0, 'after a question without an answer')
  await health.loop.stop()
})
