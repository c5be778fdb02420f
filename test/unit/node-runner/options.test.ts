import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Assignment } from '#bus/messages/claim.ts'
import type { Spec } from '#core/job/spec.ts'
import { containerOptions, jobEnv } from '../../../node-runner/docker/options.ts'
import { aSpec } from '../../harness/spec.ts'

function anAssignment(spec: Partial<Spec> = {}, change: Partial<Assignment> = {}): Assignment {
  const job = {
    attemptId: 'att_1',
    attemptNumber: 2,
    leaseToken: 'secret-lease',
    jobId: 'job_0123456789abcdef',
    project: 'default',
    batchId: null,
    batchIndex: null,
    batchSize: null,
  }
  return { ...job, spec: aSpec(spec), inputs: [], ...change }
}

const sandbox = { nodeId: 'node_1', imageId: 'sha256:x', workDir: '/var/w', network: null, maxLogBytes: 1000, dir: '/d' }

test('every job is hardened', () => {
  const options = containerOptions(anAssignment({ resources: { cpu: '500m', memory: '64Mi' } }), sandbox)
  const host = options.HostConfig
  assert.equal(options.User, '65534:65534')
  assert.equal(options.NetworkDisabled, true)
  assert.equal(host?.NetworkMode, undefined)
  assert.equal(host?.ReadonlyRootfs, true)
  assert.deepEqual(host?.CapDrop, ['ALL'])
  assert.equal(host?.CapAdd, undefined)
  assert.deepEqual(host?.SecurityOpt, ['no-new-privileges=true'])
  assert.equal(host?.Privileged, false)
  assert.equal(host?.PidsLimit, 512)
  assert.equal(host?.Memory, 64 * 2 ** 20)
  assert.equal(host?.MemorySwap, host?.Memory, 'no swap')
  assert.equal(host?.NanoCpus, 500_000_000)
  assert.deepEqual(host?.Binds, ['/var/w:/work:rw'])
  assert.equal(host?.IpcMode, 'private')
  assert.match(host?.Tmpfs?.['/tmp'] ?? '', /nosuid,nodev.*size=33554432$/)
  assert.equal(host?.AutoRemove, false)
})

test('network puts the job on the closed bridge and nowhere else', () => {
  const options = containerOptions(anAssignment({ network: true }), { ...sandbox, network: 'rgrid-x', maxLogBytes: 1000, dir: '/d' })
  assert.equal(options.NetworkDisabled, false)
  assert.equal(options.HostConfig?.NetworkMode, 'rgrid-x')
})

test('command and args mean what they mean in Kubernetes', () => {
  const of = (spec: Partial<Spec>) => {
    const { Entrypoint, Cmd } = containerOptions(anAssignment(spec), sandbox)
    return [Entrypoint, Cmd]
  }
  assert.deepEqual(of({ command: ['a', 'b'], args: ['c'] }), [['a', 'b'], ['c']])
  assert.deepEqual(of({ command: ['a'] }), [['a'], []])
  const own = anAssignment()
  own.spec.command = null
  assert.deepEqual([containerOptions(own, sandbox).Entrypoint, containerOptions(own, sandbox).Cmd], [undefined, undefined])
  own.spec.args = ['x']
  assert.deepEqual([containerOptions(own, sandbox).Entrypoint, containerOptions(own, sandbox).Cmd], [undefined, ['x']])
})

test('the environment holds what the job is told, and no lease', () => {
  assert.deepEqual(jobEnv(anAssignment({ env: { A: '1', HOME: '/work' } }), { PYTHONPATH: '/p' }), {
    A: '1',
    HOME: '/work',
    PYTHONPATH: '/p',
    RGRID_JOB_ID: 'job_0123456789abcdef',
    RGRID_ATTEMPT: '2',
    RGRID_PROJECT: 'default',
  })
  const inBatch = jobEnv(anAssignment({}, { batchId: 'batch_1', batchIndex: 3, batchSize: 9 }), {})
  assert.deepEqual([inBatch.RGRID_BATCH_ID, inBatch.RGRID_BATCH_INDEX, inBatch.RGRID_BATCH_SIZE], ['batch_1', '3', '9'])
  assert.ok(!JSON.stringify(containerOptions(anAssignment(), sandbox)).includes('secret-lease'))
})
