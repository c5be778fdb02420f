import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { NodeView } from '#core/operator-api.ts'
import { sleep } from '#core/service/time.ts'
import { awaitEnd, followUntil, readJob, stdoutOf, submitJob } from '../harness/follow.ts'
import { type Platform, runCommand, startPlatform } from '../harness/platform.ts'

let platform: Platform
let hole: { server: Server; port: number; sockets: Set<Socket> }

before(async () => {
  hole = await startHole()
  platform = await startPlatform({ RGRID_EGRESS_ALLOW: `127.0.0.1:${hole.port}`, RGRID_DRAIN_SECONDS: '1', RGRID_LEASE_SECONDS: '20' })
})
after(async () => {
  await platform?.stop()
  for (const socket of hole.sockets) socket.destroy()
  hole.server.close()
})

/** A server that takes what it is asked and never answers: a registry, or a place of inputs, that hangs. */
async function startHole() {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined).on('close', () => sockets.delete(socket))
    socket.resume()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return { server, sockets, port: (server.address() as AddressInfo).port }
}

const bash = (code: string, more: object = {}) => ({ runtime: 'bash', code, files: { outputs: [] }, ...more })
const cancel = async (jobId: string) => assert.equal((await platform.api('POST', `/v1/jobs/${jobId}/cancel`)).status, 200)
/** Resolves when the hole has been asked by somebody new. */
const asked = async () => void (await once(hole.server, 'connection'))
const containersOf = async (jobId: string) => (await runCommand('docker', ['ps', '-aq', '--filter', `label=rgrid.job=${jobId}`])).stdout

test('cancel asks the process to end; what it says then is in the log, and exit 0 does not make it a success', async () => {
  const jobId = await submitJob(platform, bash('trap "echo asked; exit 0" TERM; echo begun; while true; do sleep 0.1; done'))
  await followUntil(platform, jobId, /begun/)
  await cancel(jobId)
  const job = await awaitEnd(platform, jobId)
  assert.deepEqual([job.state, job.cause, job.attempts[0]?.state], ['cancelled', 'cancelled', 'cancelled'])
  assert.equal(await stdoutOf(platform, jobId), 'begun\nasked\n')
})

test('who does not listen is killed after the grace period, with everything that it started', async () => {
  const ignore = 'trap "" TERM'
  const code = `${ignore}; (${ignore}; setsid bash -c '${ignore}; while true; do sleep 1; done') & echo begun; while true; do sleep 1; done`
  const jobId = await submitJob(platform, bash(code, { gracePeriodSeconds: 1 }))
  await followUntil(platform, jobId, /begun/)
  const top = await runCommand('docker', ['top', (await containersOf(jobId)).trim(), '-eo', 'pid'])
  const pids = top.stdout.trim().split('\n').slice(1)
  assert.ok(pids.length >= 3)
  await cancel(jobId)
  assert.equal((await awaitEnd(platform, jobId)).state, 'cancelled')
  assert.equal(await containersOf(jobId), '')
  assert.deepEqual(
    pids.filter((pid) => existsSync(`/proc/${pid.trim()}`)),
    [],
  )
})

test('cancel while an image is being pulled ends the job at once', async () => {
  const pulling = asked()
  const jobId = await submitJob(platform, { runtime: `127.0.0.1:${hole.port}/slow:1`, command: ['true'], files: { outputs: [] } })
  await pulling
  await cancel(jobId)
  const job = await awaitEnd(platform, jobId)
  assert.deepEqual([job.state, job.attempts[0]?.startedAt], ['cancelled', null])
})

test('cancel while inputs are being fetched ends the job at once', async () => {
  const fetching = asked()
  const inputs = [{ path: 'in.txt', url: `http://127.0.0.1:${hole.port}/in.txt` }]
  const jobId = await submitJob(platform, { runtime: 'bash', command: ['true'], files: { inputs, outputs: [] } })
  await fetching
  await cancel(jobId)
  const job = await awaitEnd(platform, jobId)
  assert.deepEqual([job.state, job.attempts[0]?.startedAt], ['cancelled', null])
  assert.equal(await containersOf(jobId), '')
})

test('preparing for too long is a cause of its own, and spends no retry', async () => {
  const inputs = [{ path: 'in.txt', url: `http://127.0.0.1:${hole.port}/in.txt` }]
  const jobId = await submitJob(platform, { runtime: 'bash', command: ['true'], files: { inputs, outputs: [] }, prepareTimeoutSeconds: 1, retries: 1 })
  // It is held for a second or a few, and looked at meanwhile.
  const told = await followUntil(platform, jobId, /"state":"held"/)
  assert.match(told, /"run again after prepare_timeout, [1-5] of at most 5 in \d+ s"/)
  const job = await readJob(platform, jobId)
  assert.equal(job.attempts[0]?.cause, 'prepare_timeout')
  assert.match(job.attempts[0]?.message ?? '', /longer than 1 s/)
  await cancel(jobId)
  assert.equal((await awaitEnd(platform, jobId)).state, 'cancelled')
})

test('a job that finds no slot in time fails with a cause of its own', async () => {
  const jobId = await submitJob(platform, bash('true', { resources: { cpu: '64' }, maxQueueSeconds: 1 }))
  const job = await awaitEnd(platform, jobId)
  assert.deepEqual([job.state, job.cause, job.attempts.length], ['failed', 'queue_timeout', 0])
})

test('a job that ran too long is stopped within its grace, which it may use', async () => {
  const jobId = await submitJob(platform, bash('trap "echo cleaned; exit 3" TERM; while true; do sleep 0.1; done', { timeoutSeconds: 5 }))
  const job = await awaitEnd(platform, jobId)
  assert.deepEqual([job.state, job.cause], ['failed', 'timeout'])
  assert.equal(await stdoutOf(platform, jobId), 'cleaned\n')
})

test('a node that drains takes nothing new, hands back what does not end in time, and takes work again when told to', async () => {
  const { items } = (await (await platform.api('GET', '/v1/nodes')).json()) as { items: NodeView[] }
  const node = items.find((one) => one.state === 'ready') as NodeView
  const jobId = await submitJob(platform, bash('echo "attempt $RGRID_ATTEMPT"; test "$RGRID_ATTEMPT" -gt 1 || sleep 300', { gracePeriodSeconds: 1 }))
  await followUntil(platform, jobId, /attempt 1/)
  assert.equal((await platform.api('POST', `/v1/nodes/${node.id}/drain`)).status, 200)
  await followUntil(platform, jobId, /"state":"queued"/)
  const waiting = await readJob(platform, jobId)
  assert.deepEqual(
    [waiting.attempts.length, waiting.attempts[0]?.state, waiting.reason],
    [1, 'interrupted', 'waiting: an operator has drained the machines that could take it'],
  )
  const later = await submitJob(platform, bash('true'))
  assert.equal((await readJob(platform, later)).state, 'queued')
  assert.equal((await platform.api('POST', `/v1/nodes/${node.id}/resume`)).status, 200)
  assert.equal((await awaitEnd(platform, later)).state, 'succeeded')
  const job = await awaitEnd(platform, jobId)
  assert.deepEqual([job.state, job.attempts.length], ['succeeded', 2])
})

test('what nobody owns on a node is removed: containers, folders and mounts of attempts that are not there', async () => {
  const dir = join(platform.stateDir, 'node')
  const folder = join(dir, 'attempts/att_orphan')
  mkdirSync(join(folder, 'work'), { recursive: true })
  writeFileSync(join(folder, 'disk.img'), '')
  assert.equal((await runCommand('mount', ['-t', 'tmpfs', 'tmpfs', join(folder, 'work')])).code, 0)
  const labels = [`rgrid.dir=${dir}`, 'rgrid.node=node_old', 'rgrid.attempt=att_orphan'].flatMap((label) => ['--label', label])
  const made = await runCommand('docker', ['run', '-d', ...labels, 'rgrid/bash:latest', 'sleep', '600'])
  const network = await runCommand('docker', [
    'network',
    'create',
    '--label',
    `rgrid.dir=${dir}`,
    '--label',
    'rgrid.node=node_old',
    `rgrid-test-${process.pid}`,
  ])
  assert.equal(made.code + network.code, 0, made.stderr + network.stderr)
  const gone = runCommand('docker', ['wait', made.stdout.trim()])
  // Its first round is at the start.
  platform.kill('node-runner')
  await platform.start()
  await gone
  const networks = async () => (await runCommand('docker', ['network', 'ls', '-q', '--filter', `name=rgrid-test-${process.pid}`])).stdout
  while (existsSync(folder) || (await networks()) !== '') await sleep(50)
})
