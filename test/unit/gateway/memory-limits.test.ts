import assert from 'node:assert/strict'
import { test } from 'node:test'
import { memoryHere, memoryLimits } from '../../../gateway/memory-limits.ts'

const GI = 2 ** 30

test('the limits are those of the container, or of half a machine that others live on too', () => {
  assert.deepEqual(memoryLimits({ heap: 2 * GI, machine: 16 * GI, allowed: undefined }), { maxHeapBytes: Math.floor(1.8 * GI), maxRssBytes: 8 * GI })
  assert.deepEqual(memoryLimits({ heap: GI, machine: 16 * GI, allowed: 2 * GI }), { maxHeapBytes: Math.floor(0.9 * GI), maxRssBytes: Math.floor(1.8 * GI) })
})

test('a process that does nothing is far below them', () => {
  const limits = memoryLimits(memoryHere())
  const { heapUsed, rss } = process.memoryUsage()
  assert.ok(limits.maxHeapBytes > 2 * heapUsed && limits.maxRssBytes > rss, JSON.stringify(limits))
})
