import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { sleep } from '#core/service/time.ts'
import { openEvents } from '../harness/event-stream.ts'
import { awaitEnd, followUntil, readJob, stdoutOf, submitJob } from '../harness/follow.ts'
import { GATE, openGate } from '../harness/gate.ts'
import { type Platform, startPlatform } from '../harness/platform.ts'
import { actOnServer, type ServerName } from '../harness/server-container.ts'

/** Several lease times. RGRID_TEST_OUTAGE_SECONDS=60 tries the minute that docs/RELIABILITY.md promises. */
const AWAY_SECONDS = Number(process.env.RGRID_TEST_OUTAGE_SECONDS ?? 20)
const LEASE_SECONDS = 8

let platform: Platform

before(async () => {
  const settings = { RGRID_LEASE_SECONDS: LEASE_SECONDS, RGRID_HEARTBEAT_SECONDS: 1, RGRID_RENEW_SECONDS: 1, RGRID_UPLOAD_SECONDS: 3, RGRID_NODE_SLOTS: 3 }
  platform = await startPlatform(Object.fromEntries(Object.entries(settings).map(([name, value]) => [name, String(value)])), true)
})
after(() => platform?.stop())

const bash = (code: string, outputs: { path: string }[] = []) => ({ runtime: 'bash', code, files: { outputs } })
const lines = (count: number) => Array.from({ length: count }, (_, i) => `line ${i + 1}\n`).join('')

async function away(name: ServerName, meanwhile: () => Promise<void>): Promise<void> {
  await actOnServer(platform.stateDir, name, 'kill')
  const startedMs = performance.now()
  try {
    await meanwhile()
    await sleep(Math.max(0, AWAY_SECONDS * 1000 - (performance.now() - startedMs)))
  } finally {
    await actOnServer(platform.stateDir, name, 'start')
  }
}

/** Resolves when the gateway does what it is asked again. */
async function back(): Promise<void> {
  while (!(await platform.api('GET', '/readyz')).ok) await sleep(200)
}

test('NATS is away for several lease times: jobs go on, their logs are delivered later, nothing is queued again', async () => {
  const count = (AWAY_SECONDS + 4) * 5
  const happens = await openEvents(`${platform.apiUrl}/v1/events`, { authorization: `Bearer ${platform.apiKey}` })
  const [long, short] = await Promise.all([
    submitJob(platform, bash(`for i in $(seq 1 ${count}); do echo "line $i"; sleep 0.2; done`)),
    submitJob(platform, bash('for i in $(seq 1 20); do echo "line $i"; sleep 0.2; done; exit 4')),
  ])
  await Promise.all([followUntil(platform, long, /line 2\\n/), followUntil(platform, short, /line 2\\n/)])
  await away('nats', async () => undefined)
  await back()
  const [first, second] = [await awaitEnd(platform, short), await awaitEnd(platform, long)]
  assert.deepEqual([first.state, first.exitCode, first.attempts.length], ['failed', 4, 1])
  assert.deepEqual([second.state, second.attempts.length], ['succeeded', 1])
  assert.equal(await stdoutOf(platform, short), lines(20))
  assert.equal(await stdoutOf(platform, long), lines(count))
  const heard = await happens.until(({ data }) => data.type === 'rgrid.job.succeeded' && data.subject === long)
  happens.close()
  const typesOf = (id: string) => heard.filter(({ data }) => data.subject === id).map(({ data }) => data.type.replace('rgrid.job.', ''))
  assert.deepEqual(
    [typesOf(short), typesOf(long)],
    [
      ['submitted', 'assigned', 'started', 'failed'],
      ['submitted', 'assigned', 'started', 'succeeded'],
    ],
  )
})

test('Postgres is away: submits are refused for now, running jobs end, their results land when it is back', async () => {
  const jobId = await submitJob(platform, bash('for i in $(seq 1 20); do echo "line $i"; sleep 0.2; done; echo made > out.txt', [{ path: 'out.txt' }]))
  await followUntil(platform, jobId, /line 2\\n/)
  await away('postgres', async () => {
    const answer = await platform.api('POST', '/v1/projects/default/jobs', { spec: bash('true') })
    assert.equal(answer.status, 503)
    assert.ok(Number(answer.headers.get('retry-after')) > 0)
    assert.equal(((await answer.json()) as { code: string }).code, 'unavailable')
  })
  await back()
  const job = await awaitEnd(platform, jobId)
  assert.deepEqual([job.state, job.exitCode, job.attempts.length], ['succeeded', 0, 1], JSON.stringify(job.attempts))
  assert.equal(await stdoutOf(platform, jobId), lines(20))
  assert.equal((await awaitEnd(platform, await submitJob(platform, bash('true')))).state, 'succeeded')
})

test('the object store is away: outputs are tried within limits, then `output`, with log and exit code; a cancel is obeyed', async () => {
  const [kept, cancelled] = await Promise.all([
    submitJob(platform, bash(`echo "attempt $RGRID_ATTEMPT"; test "$RGRID_ATTEMPT" -gt 1 || ${GATE}; echo made > out.txt`, [{ path: 'out.txt' }])),
    submitJob(platform, bash(`echo begun; ${GATE}; echo made > out.txt`, [{ path: 'out.txt' }])),
  ])
  await Promise.all([followUntil(platform, kept, /attempt 1/), followUntil(platform, cancelled, /begun/)])
  await away('s3', async () => {
    await Promise.all([openGate(kept), openGate(cancelled)])
    await followUntil(platform, cancelled, /finishing on/)
    await platform.api('POST', `/v1/jobs/${cancelled}/cancel`)
    assert.equal((await awaitEnd(platform, cancelled)).state, 'cancelled')
    await followUntil(platform, kept, /run again after output/)
    const job = await readJob(platform, kept)
    assert.deepEqual([job.attempts[0]?.cause, job.attempts[0]?.exitCode], ['output', 0])
    const log = await platform.api('GET', `/v1/jobs/${kept}/logs?attempt=1&stream=stdout`)
    assert.equal(await log.text(), 'attempt 1\n')
  })
  const job = await awaitEnd(platform, kept)
  assert.deepEqual([job.state, job.attempts.at(-1)?.state], ['succeeded', 'succeeded'])
  // The logs that could not be archived are, and their folders go.
  const folders = join(platform.stateDir, 'node/attempts')
  while (existsSync(folders) && readdirSync(folders).length > 0) await sleep(500)
  assert.equal(await (await platform.api('GET', `/v1/jobs/${kept}/logs?attempt=1&stream=stdout`)).text(), 'attempt 1\n')
})
