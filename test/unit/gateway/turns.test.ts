import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RGridError } from '#core/errors.ts'
import { createTurns } from '../../../gateway/limits/turns.ts'

test('of one so many run at once, the rest in their order, and others are not kept waiting', async () => {
  const turns = createTurns(2, 10)
  const gates = Array.from({ length: 5 }, () => Promise.withResolvers<void>())
  const begun: number[] = []
  const all = gates.map((gate, i) =>
    turns.take('a', async () => {
      begun.push(i)
      await gate.promise
    }),
  )
  await turns.take('b', async () => undefined)
  assert.deepEqual(begun, [0, 1])
  gates[1]?.resolve()
  await all[1]
  await Promise.resolve()
  assert.deepEqual(begun, [0, 1, 2])
  for (const gate of gates) gate.resolve()
  await Promise.all(all)
  assert.deepEqual(begun, [0, 1, 2, 3, 4])
})

test('one that fails makes room; too many in line are refused', async () => {
  const turns = createTurns(1, 1)
  const gate = Promise.withResolvers<void>()
  const first = turns.take('a', async () => {
    await gate.promise
    throw new Error('failed')
  })
  const second = turns.take('a', async () => 2)
  await assert.rejects(
    turns.take('a', async () => 3),
    (error: unknown) => error instanceof RGridError && error.code === 'limit_exceeded',
  )
  gate.resolve()
  await assert.rejects(first, /failed/)
  assert.equal(await second, 2)
  assert.equal(await turns.take('a', async () => 4), 4)
})
