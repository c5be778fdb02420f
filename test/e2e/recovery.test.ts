import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { JobDetail } from '#core/api.ts'
import { type Platform, runCommand, startPlatform } from '../harness/platform.ts'

let platform: Platform

before(async () => {
  platform = await startPlatform({ RGRID_LEASE_SECONDS: '20' })
})
after(() => platform?.stop())

async function submit(code: string): Promise<string> {
  const answer = await platform.api('POST', '/v1/projects/default/jobs', { spec: { runtime: 'bash', code, files: { outputs: [] } } })
  return ((await answer.json()) as { id: string }).id
}

/** The events of a followed log, until one that fits. */
async function waitFor(jobId: string, fits: RegExp): Promise<string> {
  const response = await platform.api('GET', `/v1/jobs/${jobId}/logs?follow=true`)
  let text = ''
  for await (const piece of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
    text += piece
    if (fits.test(text)) return text
  }
  return text
}

const read = async (jobId: string) => (await (await platform.api('GET', `/v1/jobs/${jobId}`)).json()) as JobDetail

test('a runner that is killed and started again hands back what it ran: the job runs again, for no retry, and leaves nothing', async () => {
  const jobId = await submit('echo "attempt $RGRID_ATTEMPT"; test "$RGRID_ATTEMPT" -gt 1 || sleep 120')
  await waitFor(jobId, /attempt 1\\n/)
  platform.kill('node-runner')
  await platform.start()
  assert.match(await waitFor(jobId, /event: end/), /attempt 2\\n[\s\S]*"state":"succeeded"/)
  const job = await read(jobId)
  assert.deepEqual(
    job.attempts.map((attempt) => attempt.state),
    ['interrupted', 'succeeded'],
  )
  const left = await runCommand('docker', ['ps', '-aq', '--filter', `label=rgrid.job=${jobId}`])
  assert.equal(left.stdout, '')
  const attempts = join(platform.stateDir, 'node/attempts')
  assert.deepEqual(existsSync(attempts) ? readdirSync(attempts) : [], [])
})

test('a node that dies for good is lost after its lease, and its work is queued again; it takes it when it is back', async () => {
  const jobId = await submit('echo "attempt $RGRID_ATTEMPT"; test "$RGRID_ATTEMPT" -gt 1 || sleep 120')
  await waitFor(jobId, /attempt 1\\n/)
  platform.kill('node-runner')
  await waitFor(jobId, /"state":"queued"/)
  const job = await read(jobId)
  assert.equal(job.attempts[0]?.state, 'lost')
  assert.match(job.reason ?? '', /again after lost/)
  await platform.start()
  assert.match(await waitFor(jobId, /event: end/), /"state":"succeeded"/)
})

test('gateway and scheduler are killed while a job runs: it ends, its log is whole, its result is taken', async () => {
  const jobId = await submit('for i in 1 2 3 4 5 6 7 8; do echo "line $i"; sleep 0.5; done')
  await waitFor(jobId, /line 1\\n/)
  platform.kill('scheduler')
  platform.kill('gateway')
  await platform.start()
  const end = await waitFor(jobId, /event: end/)
  assert.match(end, /"state":"succeeded"/)
  const log = await (await platform.api('GET', `/v1/jobs/${jobId}/logs`)).text()
  assert.equal(log, Array.from({ length: 8 }, (_, i) => `line ${i + 1}\n`).join(''))
  assert.equal((await read(jobId)).attempts.length, 1)
})
