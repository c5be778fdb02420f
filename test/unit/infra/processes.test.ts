import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { checkPort } from '../../../infra/local/container.ts'
import { endOtherBringUp, isLocked, withLock } from '../../../infra/local/lock.ts'
import { findProcesses, MARK } from '../../../infra/local/process-table.ts'
import { readSettings } from '../../../infra/local/settings.ts'
import { makeFolders } from '../../../infra/local/state.ts'

const folder = mkdtempSync(join(tmpdir(), 'rgrid-processes-'))
after(() => rmSync(folder, { recursive: true }))
const settings = readSettings({ RGRID_STATE_DIR: folder })
makeFolders(settings)

/** Starts a script of that path; it says when it runs and lives until it is ended. */
async function startScript(path: string, env: Record<string, string> = {}) {
  const file = join(folder, path)
  mkdirSync(join(file, '..'), { recursive: true })
  writeFileSync(file, 'process.stdout.write("up")\nprocess.stdin.resume()\n')
  const child = spawn(process.execPath, [file], { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'inherit'] })
  await new Promise((resolve) => child.stdout.once('data', resolve))
  const ended = new Promise((resolve) => child.once('exit', resolve))
  const end = () => {
    child.kill('SIGKILL')
    return ended
  }
  return { pid: child.pid as number, ended, end }
}

test('a process is known by its mark and its entry point, not by a pid file', async () => {
  const gateway = await startScript('gateway/main.ts', { [MARK]: `${settings.instance}/gateway/a1b2` })
  const child = await startScript('gateway/mount.ts', { [MARK]: `${settings.instance}/gateway/a1b2` })
  const foreign = await startScript('scheduler/main.ts', { [MARK]: 'ffffffff/scheduler/a1b2' })
  assert.deepEqual(findProcesses(settings.instance), [{ name: 'gateway', pid: gateway.pid, spec: 'a1b2' }])
  await gateway.end()
  assert.deepEqual(findProcesses(settings.instance), [])
  await Promise.all([child.end(), foreign.end()])
})

test('a lock left by a command that was killed, or whose pid is a stranger now, is taken over', async () => {
  const { pid: ended } = spawnSync(process.execPath, ['--version'])
  for (const owner of [ended, 1]) {
    writeFileSync(join(settings.stateDir, 'run', 'lock'), `${owner}\n`)
    assert.equal(isLocked(settings), false)
    assert.equal(await withLock(settings, async () => 'worked'), 'worked')
  }
})

test('a lock held by a bring-up that is alive is respected, and stop ends that one first', async () => {
  const other = await startScript('infra/local/main.ts')
  writeFileSync(join(settings.stateDir, 'run', 'lock'), `${other.pid}\n`)
  await assert.rejects(
    withLock(settings, async () => undefined),
    new RegExp(`another bring-up of this instance is at work \\(pid ${other.pid}\\)`),
  )
  await endOtherBringUp(settings, 60_000)
  await other.ended
  assert.equal(isLocked(settings), false)
})

test('a port that is taken is an error that names its variable', async () => {
  const server = createServer()
  const number = await new Promise<number>((resolve) => server.listen(0, '127.0.0.1', () => resolve((server.address() as { port: number }).port)))
  await assert.rejects(checkPort({ number, variable: 'RGRID_PORT_S3' }, 's3'), /EADDRINUSE.*Set RGRID_PORT_S3/)
  await new Promise((resolve) => server.close(resolve))
  // The kernel gives a free one: that of before may be somebody else's by now.
  await checkPort({ number: 0, variable: 'RGRID_PORT_S3' }, 's3')
})
