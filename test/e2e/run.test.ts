import assert from 'node:assert/strict'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, test } from 'node:test'
import { openGate, PYTHON_GATE } from '../harness/gate.ts'
import { type CommandResult, type Platform, rgrid, runCommand, startPlatform } from '../harness/platform.ts'

let platform: Platform
let dir: string

before(async () => {
  platform = await startPlatform({ RGRID_CLAIM_POLL_SECONDS: '30' })
})
beforeEach(() => {
  if (dir) rmSync(dir, { recursive: true, force: true })
  dir = mkdtempSync(join(tmpdir(), 'rgrid-e2e-'))
})
after(async () => {
  rmSync(dir, { recursive: true, force: true })
  await platform?.stop()
})

function write(name: string, text: string): void {
  writeFileSync(join(dir, name), text)
}

test('a script that exits 7 exits 7', async () => {
  write('seven.sh', 'exit 7\n')
  const result = await rgrid(platform, ['run', 'seven.sh'], { cwd: dir })
  assert.equal(result.code, 7, result.stderr)
})

test('the same script, files, arguments and variable there and here: same output, files and exit code', async () => {
  const script = `set -e
echo "args: $# [$1] [$2] [$3]"
echo "greeting: $GREETING" >&2
tr a-z A-Z < "$1" > shouted.txt
mkdir -p out && wc -c < "$1" > out/size.txt
exit 3
`
  const args = ['inputs/words.txt', 'two  blanks', '--flag=ünï']
  const prepare = (folder: string) => {
    mkdirSync(join(folder, 'inputs'), { recursive: true })
    writeFileSync(join(folder, 'job.sh'), script)
    writeFileSync(join(folder, 'inputs/words.txt'), 'some words\n')
  }
  const [here, there] = [join(dir, 'here'), join(dir, 'there')]
  prepare(here)
  prepare(there)
  const local = await runCommand('bash', ['job.sh', ...args], { cwd: here, env: { GREETING: 'hello world' } })
  const remote = await rgrid(platform, ['run', '--env', 'GREETING=hello world', 'job.sh', '--', ...args], { cwd: there })
  assert.equal(remote.code, local.code, remote.stderr)
  assert.equal(remote.stdout, local.stdout)
  assert.ok(remote.stderr.includes(local.stderr), remote.stderr)
  assert.ok(!remote.stdout.includes('greeting'), 'stderr came out on stdout')
  const list = (folder: string) => readdirSync(folder, { recursive: true }).map(String).sort()
  assert.deepEqual(list(there), list(here))
  for (const file of ['shouted.txt', 'out/size.txt']) assert.deepEqual(readFileSync(join(there, file)), readFileSync(join(here, file)))
})

test('a line is seen when it was printed, not when the job ends', async () => {
  write('slow.py', `import os, time\nprint("line of", os.environ["RGRID_JOB_ID"])\n${PYTHON_GATE}\nprint("the last line")\n`)
  // It ends only when its first line was seen: kept back until the end it would be stopped for its time.
  let opened: Promise<void> | undefined
  const result = await rgrid(platform, ['run', '--timeout', '60', 'slow.py'], {
    cwd: dir,
    onChunk(_, __, soFar) {
      const id = /line of (job_\w+)\n/.exec(soFar)?.[1]
      if (id) opened ??= openGate(id)
    },
  })
  await opened
  assert.equal(result.code, 0, result.stderr)
  assert.match(result.stdout, /^line of job_\w+\nthe last line\n$/)
})

test('bytes that are no text arrive as they were', async () => {
  write('bytes.sh', "printf '\\377\\000\\001binary\\r\\n'; head -c 100000 /dev/zero | tr '\\0' '\\252'\n")
  write('read.sh', '"$1" run bytes.sh > got.bin')
  const result = await runCommand('bash', ['read.sh', join(import.meta.dirname, '../../cli/rgrid')], { cwd: dir, env: platform.env })
  assert.equal(result.code, 0, result.stderr)
  const expected = await runCommand('bash', ['-c', 'bash bytes.sh | sha256sum; sha256sum < got.bin'], { cwd: dir })
  const [here, there] = expected.stdout.split('\n')
  assert.equal(there, here)
})

test('a job that runs too long is stopped: exit code 124', async () => {
  write('long.sh', 'echo started; sleep 60\n')
  const result = await rgrid(platform, ['run', '--timeout', '5', 'long.sh'], { cwd: dir })
  assert.match(result.stderr, /^rgrid: stopped: it ran longer than 5 s/m)
  assert.equal(result.code, 124, result.stderr)
  assert.match(result.stdout, /started/)
})

test('a job that takes more memory than it may is killed: exit code 137, cause oom', async () => {
  write('hungry.py', 'x = []\nwhile True:\n    x.append(bytearray(8 << 20))\n')
  const result = await rgrid(platform, ['run', '--memory', '64Mi', 'hungry.py'], { cwd: dir })
  assert.equal(result.code, 137, result.stderr)
  assert.match(result.stderr, /oom|memory/i)
})

test('a failing job is retried, and the attempt that succeeds counts', async () => {
  write('third.sh', 'echo attempt $RGRID_ATTEMPT; test "$RGRID_ATTEMPT" -ge 2\n')
  const result = await rgrid(platform, ['run', '--retries', '2', 'third.sh'], { cwd: dir })
  assert.equal(result.code, 0, result.stderr)
  assert.match(result.stdout, /attempt 1\n[\s\S]*attempt 2\n/)
})

test('cancel reaches a running job, which ends with 130', async () => {
  write('forever.sh', 'echo "id $RGRID_JOB_ID"; while true; do sleep 1; done\n')
  let cancelled: Promise<CommandResult> | undefined
  const result = await rgrid(platform, ['run', 'forever.sh'], {
    cwd: dir,
    onChunk(_, __, soFar) {
      const id = /id (job_\w+)\n/.exec(soFar)?.[1]
      if (id) cancelled ??= rgrid(platform, ['cancel', id])
    },
  })
  assert.equal((await cancelled)?.code, 0)
  assert.equal(result.code, 130, result.stderr)
})

test('Ctrl-C detaches: the job goes on, and its log and outputs are there later', async () => {
  write('later.sh', 'echo begun; sleep 2; echo done > result.txt\n')
  let interrupted = false
  const result = await rgrid(platform, ['run', 'later.sh'], {
    cwd: dir,
    onChunk(_, kill, soFar) {
      if (soFar.includes('begun') && !interrupted) {
        interrupted = true
        kill('SIGINT')
      }
    },
  })
  assert.equal(result.code, 130)
  const id = /job_\w+/.exec(result.stderr)?.[0] as string
  assert.ok(id, `the way back is not named: ${result.stderr}`)
  const logs = await rgrid(platform, ['logs', '-f', id], { cwd: dir })
  assert.equal(logs.stdout, 'begun\n')
  assert.equal((await rgrid(platform, ['download', id], { cwd: dir })).code, 0)
  assert.equal(readFileSync(join(dir, 'result.txt'), 'utf8'), 'done\n')
})

test('an option that rgrid does not know is refused with the way to hand it on; nothing is submitted', async () => {
  write('x.sh', 'true\n')
  const result = await rgrid(platform, ['run', 'x.sh', '--colour', 'red'], { cwd: dir })
  assert.equal(result.code, 2)
  assert.match(result.stderr, /--colour/)
  assert.match(result.stderr, /--/)
})

test('a batch: one job a file, four at once, outputs by input name', async () => {
  mkdirSync(join(dir, 'in'))
  for (let i = 0; i < 8; i++) write(`in/n${i}.txt`, `${i}\n`)
  write('square.sh', 'n=$(cat "$1"); echo $((n * n)) > square.txt; test "$n" != 5\n')
  const result = await rgrid(platform, ['run', 'square.sh', '--batch', 'in/*.txt', '--parallel', '4'], { cwd: dir })
  assert.equal(result.code, 1, 'one of the jobs fails')
  for (let i = 0; i < 8; i++) assert.equal(readFileSync(join(dir, `outputs/n${i}/square.txt`), 'utf8'), `${i * i}\n`)
  assert.match(result.stderr, /7.*(done|succeeded)/i)
  assert.match(result.stderr, /1.*failed/i)
})

test('the same file is uploaded once', async () => {
  write('data.bin', `${Math.random()}`.repeat(1000))
  write('cat.sh', 'wc -c < "$1"\n')
  const upload = async () => (await rgrid(platform, ['run', 'cat.sh', 'data.bin'], { cwd: dir })).code
  assert.equal(await upload(), 0)
  const sha256 = (await runCommand('sha256sum', ['data.bin'], { cwd: dir })).stdout.slice(0, 64)
  const size = readFileSync(join(dir, 'data.bin')).length
  const answer = await platform.api('POST', '/v1/projects/default/files', { sha256, sizeBytes: size })
  assert.equal(answer.status, 200)
  assert.equal(((await answer.json()) as { state: string }).state, 'ready')
})

test('no file of a job stays on the machine', async () => {
  write('x.sh', 'echo x > y\n')
  assert.equal((await rgrid(platform, ['run', 'x.sh'], { cwd: dir })).code, 0)
  const attempts = join(platform.stateDir, 'node/attempts')
  assert.deepEqual(existsSync(attempts) ? readdirSync(attempts) : [], [])
})
