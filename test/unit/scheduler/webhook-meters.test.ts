import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics } from '#core/service/metrics.ts'
import { meterSender } from '../../../scheduler/webhooks/meters.ts'
import type { Answer } from '../../../scheduler/webhooks/send.ts'
import { readMetrics } from '../../harness/scrape.ts'

test('what came of webhooks is counted by outcome, and timed', async () => {
  const metrics = createMetrics()
  const outcomes: Answer['outcome'][] = ['taken', 'timeout', 'taken']
  const send = meterSender(metrics, async () => ({
    atMs: 0,
    durationMs: 700,
    status: null,
    error: null,
    body: null,
    retryAfterMs: null,
    outcome: outcomes.shift() ?? 'error',
  }))
  const message = { url: 'https://receiver.example/', headers: {}, body: '' }
  for (let i = 0; i < 3; i++) await send(message, AbortSignal.timeout(1000))
  const { value } = readMetrics(await metrics.render())
  assert.deepEqual([value('rgrid_webhook_tries_total{outcome="taken"}'), value('rgrid_webhook_tries_total{outcome="timeout"}')], [2, 1])
  assert.deepEqual([value('rgrid_webhook_seconds_bucket{le="0.5",outcome="taken"}'), value('rgrid_webhook_seconds_bucket{le="1",outcome="taken"}')], [0, 2])
})
