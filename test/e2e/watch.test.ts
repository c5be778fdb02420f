import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { BatchView } from '#core/api.ts'
import { awaitEnd, submitJob } from '../harness/follow.ts'
import { GATE, openGate } from '../harness/gate.ts'
import { type Platform, rgrid, startPlatform } from '../harness/platform.ts'

let platform: Platform
before(async () => {
  platform = await startPlatform()
})
after(() => platform?.stop())

const bash = (code: string) => ({ runtime: 'bash', code, files: { outputs: [] }, resources: { disk: '16Mi' } })

async function submitBatch(code: string, names: readonly string[], parallel: number | null = null): Promise<string> {
  const body = { parallel, template: bash(code), items: names.map((name) => ({ name, env: { NAME: name } })) }
  const response = await platform.api('POST', '/v1/projects/default/batches', body)
  assert.equal(response.status, 201)
  return ((await response.json()) as BatchView).id
}

async function jobNamed(batchId: string, name: string): Promise<string> {
  const { items } = (await (await platform.api('GET', `/v1/projects/default/jobs?batch=${batchId}`)).json()) as { items: { id: string; name: string }[] }
  return items.find((job) => job.name === name)?.id ?? ''
}

/** Fails when the gateway was asked by this route oftener since now than so many times, and once each 15 s. */
function createCounter(): (route: string, most: number) => void {
  const path = join(platform.stateDir, 'logs/gateway.log')
  const seen = readFileSync(path, 'utf8').length
  const beganMs = performance.now()
  return (route, most) => {
    const reads = readFileSync(path, 'utf8').slice(seen).split(`"route":"${route}"`).length - 1
    const seconds = (performance.now() - beganMs) / 1000
    assert.ok(reads <= most + seconds / 15, `${reads} reads in ${seconds} s`)
  }
}

test('rgrid status --watch tells each change of a job until it ends, without asking all the time', async () => {
  const notAllTheTime = createCounter()
  // The pause is long enough to be seen on a busy machine.
  const jobId = await submitJob(platform, { ...bash('sleep 1; exit 3'), retries: 1, backoff: { initialSeconds: 5 } })
  const watched = await rgrid(platform, ['status', '--watch', jobId])
  assert.equal(watched.code, 0)
  const lines = watched.stdout.trimEnd().split('\n')
  assert.ok(lines.every((line) => line.startsWith(`${jobId}  `)))
  assert.match(watched.stdout, /retry 1 of 1/)
  assert.match(lines.at(-1) as string, /failed {2}exit code 3$/)
  assert.ok(lines.every((line, i) => line !== lines[i + 1]))
  notAllTheTime('/v1/jobs/:id', 12)
})

test('rgrid status --watch --json gives a document a change, also of a batch', async () => {
  const batchId = await submitBatch(`[ $NAME != a ] || ${GATE}`, ['a', 'b', 'c'], 1)
  const first = await jobNamed(batchId, 'a')
  let opened: Promise<void> | undefined
  const watched = await rgrid(platform, ['status', '--watch', '--json', batchId], { onChunk: () => void (opened ??= openGate(first)) })
  await opened
  const views = watched.stdout
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as BatchView)
  assert.equal(views.at(-1)?.counts.succeeded, 3)
  assert.ok(views.length >= 2)
})

test('rgrid list --watch tells of jobs that come and change', async () => {
  const batchId = await submitBatch(`[ $NAME = two ] || ${GATE}`, ['one', 'two'], 1)
  const first = await jobNamed(batchId, 'one')
  let opened: Promise<void> | undefined
  let interrupted = false
  const watched = await rgrid(platform, ['list', '--watch', '--batch', batchId], {
    onChunk(_, kill, soFar) {
      if (/two {2}held/.test(soFar)) opened ??= openGate(first)
      if (!interrupted && /two {2}succeeded/.test(soFar)) {
        interrupted = true
        kill('SIGINT')
      }
    },
  })
  await opened
  assert.match(watched.stdout, /one {2}succeeded/)
  assert.match(watched.stdout, /two {2}held {2}held: batch parallelism/)
  assert.match(watched.stdout, /two {2}succeeded/)
})

test('rgrid run --batch shows how it goes on without asking all the time', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'rgrid-watch-'))
  try {
    writeFileSync(join(dir, 'wait.sh'), 'sleep 6\n')
    for (const name of ['a', 'b']) writeFileSync(join(dir, `${name}.txt`), name)
    const notAllTheTime = createCounter()
    const result = await rgrid(platform, ['run', 'wait.sh', '--batch', '*.txt', '--json'], { cwd: dir })
    assert.deepEqual([result.code, result.stdout.trimEnd().split('\n').length], [0, 2])
    notAllTheTime('/v1/batches/:id', 10)
  } finally {
    rmSync(dir, { recursive: true })
  }
})

test('what is not there cannot be watched', async () => {
  for (const id of ['job_none', 'batch_none', 'a b']) {
    const result = await rgrid(platform, ['status', '--watch', id])
    assert.deepEqual([result.code, result.stdout], [3, ''])
    assert.match(result.stderr, /there is no (job|batch)/)
  }
})

test('the logs of a batch are followed together, each line whole and with the name of its job', async () => {
  const names = Array.from({ length: 6 }, (_, i) => `job-${i}`)
  const batchId = await submitBatch(
    'for i in 1 2 3; do printf "part "; sleep 0.1; echo "$NAME line $i"; done; echo "$NAME failed" >&2; printf unfinished',
    names,
    3,
  )
  const notAllTheTime = createCounter()
  const followed = await rgrid(platform, ['logs', '-f', '--batch', batchId])
  assert.equal(followed.code, 0)
  const lines = followed.stdout.trimEnd().split('\n')
  const linesOf = (name: string) => lines.filter((line) => line.startsWith(`${name} | `)).map((line) => line.slice(name.length + 3))
  for (const name of names) assert.deepEqual(linesOf(name), [...[1, 2, 3].map((i) => `part ${name} line ${i}`), 'unfinished'])
  assert.equal(lines.length, names.length * 4)
  assert.equal(followed.stderr.match(/^job-\d \| job-\d failed$/gm)?.length, names.length)
  assert.match(followed.stderr, /6\/6 done/)
  notAllTheTime('/v1/batches/:id', 15)
  const printed = await rgrid(platform, ['logs', '--batch', batchId, '--tail', '1'])
  assert.deepEqual(
    printed.stdout.trimEnd().split('\n'),
    names.map((name) => `${name} | unfinished`),
  )
  const found = await rgrid(platform, ['logs', '--grep', 'LINE 2', '-i', '--batch', batchId])
  assert.equal(found.code, 0)
  assert.deepEqual(
    found.stdout
      .trimEnd()
      .split('\n')
      .map((line) => line.replace(/ job_\w+/, '')),
    names.map((name) => `${name} | part ${name} line 2`),
  )
  assert.match(found.stderr, /6 lines in the logs of 6 jobs/)
  assert.equal((await rgrid(platform, ['logs', '--grep', 'not there', '--since', '1h'])).code, 1)
})

test('logs of what is none, or of two things, are refused', async () => {
  const jobId = await submitJob(platform, bash('true'))
  await awaitEnd(platform, jobId)
  assert.equal((await rgrid(platform, ['logs', '-f', '--batch', 'batch_none'])).code, 3)
  assert.equal((await rgrid(platform, ['logs', jobId, '--batch', 'batch_none'])).code, 2)
})
