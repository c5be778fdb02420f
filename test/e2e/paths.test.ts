import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { artifactText, runJob } from '../harness/job.ts'
import { type Platform, startPlatform } from '../harness/platform.ts'

let platform: Platform
let dir: string
let secret: string

before(async () => {
  dir = mkdtempSync(join(tmpdir(), 'rgrid-paths-'))
  secret = join(dir, 'secret.txt')
  writeFileSync(secret, 'of the machine, not of the job')
  platform = await startPlatform()
})
after(async () => {
  await platform?.stop()
  rmSync(dir, { recursive: true, force: true })
})

const bash = (code: string, change = {}) => runJob(platform, { runtime: 'bash', code, ...change })

test('links out of the work folder are left out with a warning that names each, and everything else is kept', async () => {
  const { job, artifacts } = await bash(`
echo fine > good.txt; mkdir -p d/e; echo deep > d/e/deep.txt
ln -s ${secret} absolute; ln -s ../../../../../../../etc/passwd relative; ln -s /etc folder; ln -s good.txt inside; ln -s /work/d/e/deep.txt abs-inside; ln -s nowhere dangling
mkfifo pipe; python3 -c 1 2>/dev/null; true`)
  assert.equal(job.state, 'succeeded')
  assert.deepEqual(
    artifacts.map((artifact) => artifact.path),
    ['abs-inside', 'd/e/deep.txt', 'good.txt', 'inside'],
  )
  assert.equal(await artifactText(platform, artifacts[0] as (typeof artifacts)[0]), 'deep\n')
  assert.equal(await artifactText(platform, artifacts[3] as (typeof artifacts)[0]), 'fine\n')
  for (const name of ['absolute', 'relative', 'folder', 'dangling', 'pipe'])
    assert.ok(
      job.warnings.some((warning) => warning.includes(`"${name}"`)),
      `${name} is not named: ${job.warnings}`,
    )
})

test('a folder that is replaced by a link leads nowhere, and a declared output behind it is an error', async () => {
  const { job, artifacts } = await bash(`mkdir out; rmdir out; ln -s ${dir} out; echo x > kept.txt`, {
    files: { outputs: [{ path: 'out/secret.txt' }, { path: 'kept.txt' }, { path: 'out', type: 'directory' }] },
  })
  assert.deepEqual([job.state, job.cause], ['failed', 'output'])
  assert.match(job.message ?? '', /out\/secret\.txt/)
  assert.deepEqual(
    artifacts.map((artifact) => artifact.path),
    ['kept.txt'],
  )
})

test('a declared output that is a pipe, or is missing, is an error that names it', async () => {
  const { job } = await bash('mkfifo result', { files: { outputs: [{ path: 'result' }] } })
  assert.deepEqual([job.state, job.cause], ['failed', 'output'])
  assert.match(job.message ?? '', /"result".*no plain file/)
  const missing = await bash('true', { files: { outputs: [{ path: 'never.txt' }] } })
  assert.match(missing.job.message ?? '', /"never\.txt" is declared but was not made/)
})

test('a sparse file of 10 GB against a disk of 1 GiB is an error, and the rest is kept', async () => {
  const { job, artifacts } = await bash('truncate -s 10G huge.bin; echo small > small.txt', { resources: { disk: '1Gi' } })
  assert.deepEqual([job.state, job.cause], ['failed', 'output'])
  assert.match(job.message ?? '', /"huge\.bin" of 10 GiB .*1 GiB/)
  assert.deepEqual(
    artifacts.map((artifact) => artifact.path),
    ['small.txt'],
  )
})

test('a full disk is told to the job, exactly at its limit, and harms nobody else', async () => {
  const { job, stdout } = await bash(
    'dd if=/dev/zero of=fill bs=1M count=200 2>&1 | grep -o "No space left on device"; stat -c %s fill | awk \'{print ($1 > 40000000 && $1 < 67108864)}\'; rm fill',
    { resources: { disk: '64Mi' } },
  )
  assert.equal(stdout, 'No space left on device\n1\n')
  assert.equal(job.state, 'succeeded')
})

test('names with control characters or bytes that are no UTF-8 are left out with a warning', async () => {
  const { job, artifacts } = await bash(`touch $'new\\nline' $'bad\\xff' 'good ünï.txt'`)
  assert.deepEqual(
    artifacts.map((artifact) => artifact.path),
    ['good ünï.txt'],
  )
  assert.equal(job.warnings.length, 2, String(job.warnings))
})

test('inputs cannot leave the work folder, nor be put over one another', async () => {
  for (const [path, expected] of [
    ['../x', /must not leave/],
    ['/etc/passwd', /must be relative/],
    ['a/../../x', /must not leave/],
    ['.rgrid/x', /reserved/],
    ['a//b', /normal form/],
  ] as const) {
    const answer = await platform.api('POST', '/v1/projects/default/jobs', {
      spec: { runtime: 'bash', command: ['true'], files: { inputs: [{ path, url: 'http://example.com/' }] } },
    })
    assert.equal(answer.status, 422)
    const problem = (await answer.json()) as { errors: { path: string; message: string }[] }
    assert.equal(problem.errors[0]?.path, 'spec.files.inputs.0.path')
    assert.match(problem.errors[0]?.message ?? '', expected)
  }
})

test('a tree deeper than any path can say does not keep the rest from being kept', async () => {
  const { job, artifacts } = await bash('echo top > top.txt; for i in $(seq 60); do n=$(printf "d%.0s" $(seq 200)); mkdir $n; cd $n || break; done; true')
  assert.equal(job.state, 'succeeded', job.message ?? '')
  assert.ok(artifacts.some((artifact) => artifact.path === 'top.txt'))
})

test('a program that is not there ends with 127 and says so', async () => {
  const { job, stderr } = await runJob(platform, { runtime: 'bash', command: ['no-such-program'] })
  assert.deepEqual([job.state, job.cause, job.exitCode], ['failed', 'exit', 127])
  assert.match(`${job.message ?? ''}${stderr}`, /no-such-program/)
})
