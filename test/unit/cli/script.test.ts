import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { placeFor } from '../../../cli/download.ts'
import { findProfile } from '../../../cli/profile.ts'
import { findDefaults } from '../../../cli/project-defaults.ts'
import { findRequirements, readInvocation } from '../../../cli/script.ts'
import { UsageError } from '../../../cli/usage-error.ts'

const top = mkdtempSync(join(tmpdir(), 'rgrid-cli-'))
const cwd = join(top, 'here')
mkdirSync(join(cwd, 'data/deep'), { recursive: true })
for (const file of ['here/x.py', 'here/tool', 'here/data/a.csv', 'here/data/deep/b.csv', 'outside.json', 'here/run.sh', 'here/requirements.txt'])
  writeFileSync(join(top, file), 'x')
chmodSync(join(cwd, 'tool'), 0o755)
after(() => rmSync(top, { recursive: true }))

test('arguments that name files go along under the same path; others stay as they are', () => {
  const invocation = readInvocation(cwd, ['x.py', 'data/a.csv', './data/a.csv', '--in=data/a.csv', 'nowhere.csv', '-1', ''], undefined)
  assert.equal(invocation.runtime, 'python:3.11')
  assert.deepEqual(
    [invocation.command, invocation.args],
    [
      ['python', 'x.py'],
      ['data/a.csv', './data/a.csv', '--in=data/a.csv', 'nowhere.csv', '-1', ''],
    ],
  )
  assert.deepEqual(
    invocation.inputs.map((input) => input.path),
    ['x.py', 'data/a.csv'],
  )
})

test('a folder goes along with what is in it', () => {
  const { inputs, args } = readInvocation(cwd, ['run.sh', 'data'], undefined)
  assert.deepEqual(inputs.map((input) => input.path).sort(), ['data/a.csv', 'data/deep/b.csv', 'run.sh'])
  assert.deepEqual(args, ['data'])
})

test('a file outside this folder appears under inputs/, and that is said', () => {
  const { args, notes } = readInvocation(cwd, ['x.py', '../outside.json', `--f=${join(top, 'outside.json')}`], undefined)
  assert.deepEqual(args, ['inputs/1/outside.json', '--f=inputs/1/outside.json'])
  assert.equal(notes.length, 1)
})

test('programs of an image, executables, and what cannot be run', () => {
  assert.deepEqual(readInvocation(cwd, ['ffmpeg', '-i', 'data/a.csv'], 'ffmpeg:latest').command, ['ffmpeg'])
  assert.deepEqual(readInvocation(cwd, ['tool'], 'bash').command, ['./tool'])
  assert.equal(readInvocation(cwd, ['tool'], 'bash').inputs[0]?.executable, true)
  for (const words of [[], ['missing.py'], ['ffmpeg'], ['tool']]) assert.throws(() => readInvocation(cwd, words, undefined), UsageError)
})

test('requirements.txt beside a Python script is found', () => {
  assert.equal(findRequirements(cwd, ['x.py'], undefined), join(cwd, 'requirements.txt'))
  assert.equal(findRequirements(cwd, ['run.sh'], undefined), undefined)
  assert.throws(() => findRequirements(cwd, ['x.py'], 'none.txt'), UsageError)
})

test('outputs never land outside the folder, also not through a link', async () => {
  const folder = join(top, 'out')
  mkdirSync(folder)
  symlinkSync(top, join(folder, 'link'))
  assert.equal(await placeFor(folder, 'a/b.txt'), join(folder, 'a/b.txt'))
  for (const path of ['../x', '/etc/passwd', 'a/../../x', 'link/x', '']) await assert.rejects(placeFor(folder, path))
})

test('the API is found in the environment, in the credentials, in the local platform; else it is said what to do', () => {
  const home = join(top, 'home')
  mkdirSync(join(home, '.rgrid'), { recursive: true })
  const at = { env: {}, cwd, home, checkout: join(top, 'checkout') }
  assert.throws(() => findProfile(at), /npm start/)
  assert.throws(() => findProfile({ ...at, env: { RGRID_API_URL: 'http://x' } }), /go together/)
  mkdirSync(join(top, '.rgrid'), { recursive: true })
  writeFileSync(join(top, '.rgrid/env'), "export RGRID_API_URL='http://local'\nexport RGRID_API_KEY='rgrid_live_l'\n")
  assert.equal(findProfile(at).apiUrl, 'http://local')
  writeFileSync(join(home, '.rgrid/credentials'), '{"apiUrl":"http://kept/","apiKey":"rgrid_live_k"}', { mode: 0o600 })
  assert.equal(findProfile(at).apiUrl, 'http://kept')
  assert.equal(findProfile({ ...at, env: { RGRID_API_URL: 'http://env', RGRID_API_KEY: 'k' } }).apiUrl, 'http://env')
  chmodSync(join(home, '.rgrid/credentials'), 0o644)
  assert.throws(() => findProfile(at), /chmod 600/)
})

test('project defaults are read from above, and a wrong name is refused', () => {
  mkdirSync(join(top, '.rgrid'), { recursive: true })
  writeFileSync(join(top, '.rgrid/config.yaml'), 'project: p\ncpu: 2\n')
  assert.deepEqual(findDefaults(cwd), { project: 'p', cpu: '2' })
  writeFileSync(join(top, '.rgrid/config.yaml'), 'projct: p\n')
  assert.throws(() => findDefaults(cwd), /"projct" is not known/)
})
