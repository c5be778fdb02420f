import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { sleep } from '#core/service/time.ts'
import { followUntil, submitJob } from '../harness/follow.ts'
import { type Platform, runCommand, startPlatform } from '../harness/platform.ts'
import { actOnServer } from '../harness/server-container.ts'

const LIMIT_SECONDS = 6
/** Well beyond the limit. */
const JOB_SECONDS = 20
const DEADLINE_MS = 90_000

const dir = mkdtempSync(join(tmpdir(), 'rgrid-deadman-'))
/** What the command leaves behind that stands in for the power switch. */
const switchedOff = join(dir, 'off')
let platform: Platform

before(async () => {
  const settings = { RGRID_RENEW_SECONDS: '1', RGRID_DEADMAN_MINUTES: String(LIMIT_SECONDS / 60), RGRID_DEADMAN_COMMAND: `touch ${switchedOff}` }
  platform = await startPlatform(settings, true)
})
after(async () => {
  await platform?.stop()
  rmSync(dir, { recursive: true, force: true })
})

const runs = async (jobId: string) => (await runCommand('docker', ['ps', '-q', '--filter', `label=rgrid.job=${jobId}`])).stdout.trim() !== ''
const nodeLog = () => readFileSync(join(platform.stateDir, 'logs/node-runner.log'), 'utf8')

test('a machine that NATS is cut off from lets its job end, and then switches itself off', async () => {
  const jobId = await submitJob(platform, { runtime: 'bash', code: `echo begun; sleep ${JOB_SECONDS}`, files: { outputs: [] } })
  await followUntil(platform, jobId, /begun\\n/)
  const begunMs = performance.now()
  await actOnServer(platform.stateDir, 'nats', 'kill')

  let lastSeenMs = begunMs
  while (!existsSync(switchedOff)) {
    if (await runs(jobId)) lastSeenMs = performance.now()
    if (performance.now() - begunMs > DEADLINE_MS) throw new Error(`it stays on:\n${nodeLog().slice(-2000)}`)
    await sleep(200)
  }
  const offMs = performance.now()
  // Halfway between the limit and the job's own end: it is told late that the job has begun, and seen late that it runs.
  assert.ok(lastSeenMs - begunMs > ((LIMIT_SECONDS + JOB_SECONDS) / 2) * 1000, 'the job ran on beyond the limit')
  // From when it was seen last, which is before its end; less what lies between two renewals.
  assert.ok(offMs - lastSeenMs > (LIMIT_SECONDS - 2) * 1000, 'and the limit began with its end')
  assert.match(nodeLog(), /"level":60,.*has not answered for too long: this machine switches itself off/)

  const pid = readFileSync(join(platform.stateDir, 'run/node-runner.pid'), 'utf8').trim()
  while (existsSync(`/proc/${pid}/cmdline`) && readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('node-runner')) {
    if (performance.now() - begunMs > DEADLINE_MS) throw new Error('its runner goes on')
    await sleep(100)
  }
})
