import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createPace, createSlices } from '../../../gateway/limits/pace.ts'

test('who has the loop for themselves runs at once; then one slice at a time, accounts in turn', async () => {
  const pace = createPace()
  const ran: string[] = []
  const turns = ['a1', 'a2', 'a3', 'b1', 'c1'].map((name) => pace.turn(name.slice(0, 1)).then(() => ran.push(name)))
  await Promise.resolve()
  assert.deepEqual(ran, ['a1'])
  await Promise.all(turns)
  assert.deepEqual(ran, ['a1', 'a2', 'b1', 'c1', 'a3'])
  await pace.turn('b')
})

test('between two slices the event loop goes round, and rests for as long as the slice took', async () => {
  const pace = createPace()
  await pace.turn('a')
  const beganMs = performance.now()
  while (performance.now() < beganMs + 20);
  let turned = false
  setImmediate(() => {
    turned = true
  })
  await pace.turn('a')
  assert.ok(turned)
  assert.ok(performance.now() >= beganMs + 35, `${performance.now() - beganMs}`)
})

test('small steps wait for a turn only when together they took long enough', async () => {
  const waited: string[] = []
  const slice = createSlices({ turn: async (who) => void waited.push(who) }, 'a')
  await slice()
  assert.deepEqual(waited, [])
  const endMs = performance.now() + 10
  while (performance.now() < endMs);
  await slice()
  await slice()
  assert.deepEqual(waited, ['a'])
})
