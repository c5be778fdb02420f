import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { sleep } from '#core/service/time.ts'
import { type Cable, startCable } from '../harness/cable.ts'
import { followUntil, readJob, submitJob } from '../harness/follow.ts'
import { openGate, PYTHON_GATE } from '../harness/gate.ts'
import { runJob } from '../harness/job.ts'
import { type Platform, rgrid, startPlatform } from '../harness/platform.ts'
import { actOnServer } from '../harness/server-container.ts'

const ROOT = join(import.meta.dirname, '../..')

let platform: Platform
before(async () => {
  // Servers of its own, as NATS is killed; a lease that outlives every restart.
  platform = await startPlatform({ RGRID_LEASE_SECONDS: '90', RGRID_LOG_GRACE_SECONDS: '1' }, true)
})
after(() => platform?.stop())

const python = (code: string, extra = {}) => ({ runtime: 'python:3.11', code, files: { outputs: [] }, ...extra })

interface Client {
  /** What it has written to its stdout, once it has ended. */
  done: Promise<{ digest: string; bytes: number; code: number | null }>
}

/** `rgrid logs -f` through a cable. */
function followOver(cable: Cable, jobId: string): Client {
  const env = { ...process.env, ...platform.env, RGRID_API_URL: cable.through(platform.apiUrl).replace(/\/$/, '') }
  const child = spawn(process.execPath, [join(ROOT, 'cli/main.ts'), 'logs', '-f', jobId], { env, stdio: ['ignore', 'pipe', 'ignore'] })
  const hash = createHash('sha256')
  let bytes = 0
  child.stdout.on('data', (data: Buffer) => {
    hash.update(data)
    bytes += data.length
  })
  const done = once(child, 'close').then(([code]) => ({ digest: hash.digest('hex'), bytes, code }))
  return { done }
}

test('a million lines, three followers: gateway, NATS and runner are killed and every connection is cut, and each line comes once', async () => {
  const LINES = 1_000_000
  const code = `import os, sys, time
for block in range(200):
    if block == 190:
        ${PYTHON_GATE}
    sys.stdout.write("".join(f"line {i}\\n" for i in range(block * 5000, (block + 1) * 5000)))
    sys.stdout.flush()
    time.sleep(0.12)
`
  const expected = createHash('sha256')
  for (let i = 0; i < LINES; i++) expected.update(`line ${i}\n`)
  const jobId = await submitJob(platform, python(code))
  const cables = await Promise.all([1, 2, 3].map(() => startCable(platform.apiUrl)))
  const clients = cables.map((cable) => followOver(cable, jobId))
  const over = new AbortController()
  const cutting = cables.map((cable) => cutAtRandom(cable, over.signal))
  await followUntil(platform, jobId, /line 20000\\n/)
  for (const breakIt of [
    () => platform.kill('gateway'),
    () => actOnServer(platform.stateDir, 'nats', 'kill').then(() => actOnServer(platform.stateDir, 'nats', 'start')),
    () => platform.kill('node-runner'),
    () => platform.kill('gateway'),
  ]) {
    await breakIt()
    await sleep(500)
    await platform.start()
    await sleep(1000)
  }
  await openGate(jobId)
  const results = await Promise.all(clients.map((client) => client.done))
  over.abort()
  for (const cuts of await Promise.all(cutting)) assert.ok(cuts >= 5, `only ${cuts} cuts`)
  await Promise.all(cables.map((cable) => cable.close()))
  const digest = expected.digest('hex')
  assert.deepEqual(
    results.map((result) => [result.digest, result.code]),
    results.map(() => [digest, 0]),
    JSON.stringify(results),
  )
  assert.equal((await readJob(platform, jobId)).attempts.length, 1)
})

/** Cuts the way to the gateway again and again, for moments, until it is over; returns how often. */
async function cutAtRandom(cable: Cable, signal: AbortSignal): Promise<number> {
  for (let cuts = 0; ; cuts++) {
    if (signal.aborted) return cuts
    await sleep(300 + Math.random() * 1500)
    cable.cut()
    await sleep(50 + Math.random() * 300)
    cable.mend()
  }
}

test('nothing is lost of 100,000 lines that are written at once before the end', async () => {
  const { stdout } = await runJob(platform, python('print("\\n".join(f"line {i}" for i in range(100000)))'))
  assert.equal(stdout, Array.from({ length: 100_000 }, (_, i) => `line ${i}\n`).join(''))
})

test('stdout and stderr keep their order within themselves, and between them as far as they were written apart', async () => {
  const code = `import sys
for i in range(2000):
    print(f"out {i}", flush=True)
    print(f"err {i}", file=sys.stderr, flush=True)
`
  const { stdout, stderr } = await runJob(platform, python(code))
  assert.equal(stdout, Array.from({ length: 2000 }, (_, i) => `out ${i}\n`).join(''))
  assert.equal(stderr, Array.from({ length: 2000 }, (_, i) => `err ${i}\n`).join(''))
})

test('a line of a megabyte, characters that are cut in two, bytes that are no text', async () => {
  const code = `import os, time
os.write(1, b"x" * 1_000_000 + b"\\n")
for byte in "é€😀".encode():
    os.write(1, bytes([byte]))
    time.sleep(0.05)
os.write(1, b"\\n\\xff\\x00\\xfe")
`
  const jobId = await submitJob(platform, python(code))
  await followUntil(platform, jobId, /event: end/)
  const log = Buffer.from(await (await platform.api('GET', `/v1/jobs/${jobId}/logs`)).arrayBuffer())
  assert.deepEqual(log, Buffer.concat([Buffer.alloc(1_000_000, 'x'), Buffer.from('\né€😀\n'), Buffer.from([0xff, 0, 0xfe])]))
})

test('a job that prints nothing has an empty log and ends', async () => {
  const printed = await rgrid(platform, ['logs', '-f', await submitJob(platform, python('pass'))])
  assert.deepEqual([printed.code, printed.stdout], [0, ''])
})

test('output without a newline is shown while it comes', async () => {
  const jobId = await submitJob(
    platform,
    python(`import os, sys, time\nsys.stdout.write("begun, ")\nsys.stdout.flush()\n${PYTHON_GATE}\nsys.stdout.write("ended")\n`, { timeoutSeconds: 60 }),
  )
  // It ends only when its first piece was seen: shown at the end it would be stopped for its time.
  const followed = await rgrid(platform, ['logs', '-f', jobId], { onChunk: (_, __, soFar) => void (soFar === 'begun, ' && openGate(jobId)) })
  assert.deepEqual([followed.code, followed.stdout], [0, 'begun, ended'])
})

test('a log goes on with the next attempt, and says so', async () => {
  const spec = { retries: 1, backoff: { initialSeconds: 0 } }
  const jobId = await submitJob(platform, python('import os, sys\nprint("attempt", os.environ["RGRID_ATTEMPT"])\nsys.exit(3)', spec))
  const followed = await rgrid(platform, ['logs', '-f', jobId])
  assert.equal(followed.stdout, 'attempt 1\nattempt 2\n')
  assert.match(followed.stderr, /^rgrid: attempt 2$/m)
  assert.equal(followed.code, 3)
})

test('the last lines, those since a time, each with its time', async () => {
  const jobId = await submitJob(platform, python('for i in range(100): print("line", i)'))
  await followUntil(platform, jobId, /event: end/)
  const logs = async (...options: string[]) => (await rgrid(platform, ['logs', jobId, ...options])).stdout
  assert.equal(await logs('--tail', '2'), 'line 98\nline 99\n')
  assert.equal((await rgrid(platform, ['logs', '-f', '--tail', '1', jobId])).stdout, 'line 99\n')
  assert.equal((await logs('--since', '1h')).split('\n').length, 101)
  assert.equal(await logs('--since', '2099-01-01T00:00:00Z'), '')
  assert.match(await logs('--tail', '1', '--timestamps'), /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z line 99\n$/)
})
