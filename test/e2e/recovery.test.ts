import assert from 'node:assert/strict'
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { followUntil, readJob, stdoutOf, submitJob } from '../harness/follow.ts'
import { type Platform, runCommand, startPlatform } from '../harness/platform.ts'

let platform: Platform

before(async () => {
  // Servers of its own: nodes of other files that have ended are silent too, and where most are silent none is taken for lost.
  platform = await startPlatform({ RGRID_LEASE_SECONDS: '30' }, true)
})
after(() => platform?.stop())

const submit = (code: string, outputs: { path: string }[] = []) => submitJob(platform, { runtime: 'bash', code, files: { outputs } })
const waitFor = (jobId: string, fits: RegExp) => followUntil(platform, jobId, fits)
const read = (jobId: string) => readJob(platform, jobId)

/** Resolves when the container of the job has ended; `docker wait` gives its exit code. */
async function containerEnded(jobId: string): Promise<void> {
  const { stdout } = await runCommand('docker', ['ps', '-aq', '--filter', `label=rgrid.job=${jobId}`])
  await runCommand('docker', ['wait', stdout.trim()])
}

/** What a job of these tests prints: numbered lines, some of them longer than the engine keeps in one piece. */
const NUMBERED = `i=0; long=$(printf '%40000s' | tr ' ' x)
while [ $i -lt $N ]; do i=$((i+1)); echo "line $i"; if [ $((i % 10)) = 0 ]; then echo "$long"; fi; printf 'part '; sleep 0.05; echo "rest $i" >&2; done`
const numbered = (n: number) => Array.from({ length: n }, (_, i) => `line ${i + 1}\n${(i + 1) % 10 === 0 ? '<40000 x>\n' : ''}part `).join('')
/** Runs of x are counted, so that a difference can be read. */
const printed = async (jobId: string) => (await stdoutOf(platform, jobId)).replaceAll(/x{2,}/g, (run) => `<${run.length} x>`)

async function leftOf(jobId: string): Promise<{ containers: string; folders: string[] }> {
  const { stdout } = await runCommand('docker', ['ps', '-aq', '--filter', `label=rgrid.job=${jobId}`])
  const attempts = join(platform.stateDir, 'node/attempts')
  return { containers: stdout, folders: existsSync(attempts) ? readdirSync(attempts) : [] }
}

test('a runner that is killed and started again takes over its container: the log goes on without gap or repeat, the exit code is reported', async () => {
  const jobId = await submit(`N=100; ${NUMBERED}; exit 7`)
  await waitFor(jobId, /line 5\\n/)
  platform.kill('node-runner')
  await platform.start()
  assert.match(await waitFor(jobId, /event: end/), /"state":"failed","cause":"exit","exitCode":7/)
  assert.equal(await printed(jobId), numbered(100))
  const job = await read(jobId)
  assert.deepEqual(
    job.attempts.map((attempt) => [attempt.state, attempt.exitCode]),
    [['failed', 7]],
  )
  assert.deepEqual(await leftOf(jobId), { containers: '', folders: [] })
})

test('secrets are masked, also in a log that goes on after the runner was killed in the middle of one', async () => {
  const secret = 'hunter2-and-some-more'
  const code = `i=0; while [ $i -lt 60 ]; do i=$((i+1)); printf 'token %s' "\${API_TOKEN%-some-more}"; sleep 0.05; echo "-some-more $i"; done; echo "\${API_TOKEN%more}"`
  const jobId = await submitJob(platform, { runtime: 'bash', code, env: { API_TOKEN: secret }, files: { outputs: [] } })
  await waitFor(jobId, /\*\*\* 5\\n/)
  platform.kill('node-runner')
  await platform.start()
  await waitFor(jobId, /event: end/)
  const expected = `${Array.from({ length: 60 }, (_, i) => `token *** ${i + 1}\n`).join('')}hunter2-and-some-\n`
  assert.equal(await stdoutOf(platform, jobId), expected)
  const job = await read(jobId)
  assert.deepEqual([job.attempts.length, (job.spec as { env: Record<string, string> }).env.API_TOKEN], [1, '***'])
})

test('a job that ended while the runner was away is reported, with its log, outputs and exit code', async () => {
  const jobId = await submit(`N=20; ${NUMBERED}; echo made > result.txt`, [{ path: 'result.txt' }])
  await waitFor(jobId, /line 2\\n/)
  platform.kill('node-runner')
  await containerEnded(jobId)
  await platform.start()
  assert.match(await waitFor(jobId, /event: end/), /"state":"succeeded","cause":"exit","exitCode":0/)
  assert.equal(await printed(jobId), numbered(20))
  const { items } = (await (await platform.api('GET', `/v1/jobs/${jobId}/artifacts`)).json()) as { items: { path: string; sizeBytes: number }[] }
  assert.deepEqual(
    items.map((item) => [item.path, item.sizeBytes]),
    [['result.txt', 5]],
  )
  assert.equal((await read(jobId)).attempts.length, 1)
})

test('what was cancelled while the runner was away is stopped when it is back', async () => {
  const jobId = await submit('echo begun; sleep 300')
  await waitFor(jobId, /begun/)
  platform.kill('node-runner')
  await platform.api('POST', `/v1/jobs/${jobId}/cancel`)
  await platform.start()
  assert.match(await waitFor(jobId, /event: end/), /"state":"cancelled"/)
  assert.deepEqual(await leftOf(jobId), { containers: '', folders: [] })
})

test('after a restart of the machine nothing is taken over: the job is handed back, and runs again for no retry', async () => {
  const jobId = await submit('echo "attempt $RGRID_ATTEMPT"; test "$RGRID_ATTEMPT" -gt 1 || sleep 300')
  await waitFor(jobId, /attempt 1\\n/)
  platform.kill('node-runner')
  const [attempt] = (await read(jobId)).attempts
  const path = join(platform.stateDir, 'node/attempts', attempt?.id ?? '', 'attempt.json')
  writeFileSync(path, JSON.stringify({ ...JSON.parse(readFileSync(path, 'utf8')), bootId: 'of another start' }))
  await platform.start()
  await waitFor(jobId, /event: end/)
  const job = await read(jobId)
  assert.deepEqual(
    job.attempts.map(({ state, message }) => [state, message]),
    [
      ['interrupted', 'the machine was restarted'],
      ['succeeded', null],
    ],
  )
  assert.deepEqual(await leftOf(jobId), { containers: '', folders: [] })
})

test('a node that dies for good is lost after its lease, and its work is queued again; it takes it when it is back', async () => {
  const jobId = await submit('echo "attempt $RGRID_ATTEMPT"; test "$RGRID_ATTEMPT" -gt 1 || sleep 120')
  await waitFor(jobId, /attempt 1\\n/)
  platform.kill('node-runner')
  await waitFor(jobId, /"state":"queued"/)
  const job = await read(jobId)
  assert.equal(job.attempts[0]?.state, 'lost')
  assert.match(job.reason ?? '', /^waiting: no machine could take it now \(\d+ lost\)/)
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
