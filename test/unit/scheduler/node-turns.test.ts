import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createNodeTurns } from '../../../scheduler/node-turns.ts'

test('a node that asks without end waits for itself, and nobody else does', async () => {
  const turns = createNodeTurns(3)
  const gate = Promise.withResolvers<void>()
  let [running, most] = [0, 0]
  const slow = async () => {
    most = Math.max(most, ++running)
    await gate.promise
    running--
    return 'answered'
  }
  const answers = Array.from({ length: 10 }, () => turns.take('node_greedy', slow))
  const refused = Promise.allSettled(answers)
  assert.equal(running, 4)
  assert.equal(await turns.take('node_modest', async () => 'answered'), 'answered')
  gate.resolve()
  const ended = (await refused).map(({ status }) => status)
  assert.deepEqual([ended.filter((status) => status === 'fulfilled').length, ended.filter((status) => status === 'rejected').length, most], [7, 3, 4])
  // All places are free again.
  assert.equal(await turns.take('node_greedy', async () => running), 0)
})

test('an answer that fails gives its place away', async () => {
  const turns = createNodeTurns(10)
  const fails = Array.from({ length: 8 }, () => turns.take('node_a', () => Promise.reject(new Error('no'))))
  assert.ok((await Promise.allSettled(fails)).every(({ status }) => status === 'rejected'))
  assert.equal(await turns.take('node_a', async () => 1), 1)
})
