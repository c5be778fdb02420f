import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { runCommand } from '../../harness/platform.ts'

const RGRID = join(import.meta.dirname, '../../../cli/rgrid')
const dir = mkdtempSync(join(tmpdir(), 'rgrid-env-file-'))
after(() => rmSync(dir, { recursive: true, force: true }))

const dryRun = (file: string) => runCommand(RGRID, ['run', '--dry-run', '--env-file', file, 'job.sh'], { cwd: dir })

test('what stands in the env file of a job does nothing to rgrid itself', async () => {
  writeFileSync(join(dir, 'job.sh'), 'true\n')
  writeFileSync(join(dir, 'hook.cjs'), `require('node:fs').writeFileSync(${JSON.stringify(join(dir, 'ran'))}, '')`)
  writeFileSync(join(dir, 'job.env'), `NODE_OPTIONS=--require=${join(dir, 'hook.cjs')}\n`)
  const { code, stdout, stderr } = await dryRun('job.env')
  assert.equal(code, 0, stderr)
  assert.equal(JSON.parse(stdout).spec.env.NODE_OPTIONS, `--require=${join(dir, 'hook.cjs')}`)
  assert.equal(existsSync(join(dir, 'ran')), false)
})

test('an env file that is not there is named by rgrid', async () => {
  const { code, stderr } = await dryRun('nope.env')
  assert.deepEqual([code, /--env-file: there is no file/.test(stderr)], [2, true], stderr)
})
