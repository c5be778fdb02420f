import assert from 'node:assert/strict'
import { test } from 'node:test'
import { createMetrics } from '#core/service/metrics.ts'
import { createCloudMeters } from '../../../../scheduler/cloud/metered.ts'
import { cloudError, openHetzner } from '../../../harness/hetzner/client.ts'
import { readMetrics } from '../../../harness/scrape.ts'

test('calls are counted by what came of them and timed, with what is left of the budget', async () => {
  await using pair = await openHetzner()
  const metrics = createMetrics()
  const cloud = createCloudMeters(metrics).measure(pair.cloud, pair.cloud.budget)
  assert.deepEqual([cloud.provider, cloud.billing], ['hetzner', 'hour'])
  const order = pair.order()
  const server = await cloud.create(order, pair.signal)
  await cloudError(cloud.create(order, pair.signal))
  await cloud.list(pair.signal)
  await cloud.remove(server.id, pair.signal)
  await assert.rejects(cloud.list(AbortSignal.abort(new Error('stopping'))), /stopping/)
  const { value } = readMetrics(await metrics.render())
  const calls = (method: string, result: string) => value(`rgrid_cloud_calls_total{method="${method}",result="${result}"}`)
  assert.deepEqual([calls('create', 'ok'), calls('create', 'exists'), calls('create', 'limit'), calls('list', 'ok'), calls('list', 'aborted')], [1, 1, 0, 1, 1])
  assert.deepEqual([calls('remove', 'ok'), value('rgrid_cloud_call_seconds_count{method="create"}')], [1, 2])
  const made = pair.standIn.calls.length
  assert.deepEqual([value('rgrid_cloud_api_remaining'), value('rgrid_cloud_api_calls_total')], [3600 - made, made])
})

test('without a provider the metrics are there, and say nothing', async () => {
  const metrics = createMetrics()
  createCloudMeters(metrics)
  const { text, value } = readMetrics(await metrics.render())
  assert.deepEqual([...text.matchAll(/^# TYPE (\w+)/gm)].length, 4)
  assert.deepEqual([value('rgrid_cloud_api_remaining'), value('rgrid_cloud_api_calls_total')], [undefined, 0])
  assert.doesNotMatch(text, /^rgrid_cloud_calls_total/m)
})
