import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { NodeView } from '#core/operator-api.ts'
import { sleep } from '#core/service/time.ts'
import { awaitEnd, submitJob } from '../harness/follow.ts'
import { type Platform, runCommand, startPlatform } from '../harness/platform.ts'

const DEADLINE_MS = 120_000

let platform: Platform

before(async () => {
  platform = await startPlatform({
    RGRID_CLOUD: 'local',
    RGRID_MAX_NODES: '2',
    RGRID_LOCAL_SLOTS: '1',
    RGRID_LOCAL_MEMORY: '1Gi',
    RGRID_PLAN_SECONDS: '0.5',
    RGRID_SCALE_COOLDOWN_SECONDS: '0',
    RGRID_NODE_IDLE_SECONDS: '3',
  })
})
after(() => platform?.stop())

/** The nodes that are bought: other platforms on these servers may have left some of their own. */
async function nodes(): Promise<NodeView[]> {
  const { items } = (await (await platform.api('GET', '/v1/nodes')).json()) as { items: NodeView[] }
  return items.filter(({ provider }) => provider !== null)
}

async function until(what: string, holds: () => Promise<boolean> | boolean): Promise<void> {
  const endsMs = performance.now() + DEADLINE_MS
  while (!(await holds())) {
    if (performance.now() > endsMs) throw new Error(`not so after two minutes: ${what}: ${JSON.stringify(await nodes())}`)
    await sleep(200)
  }
}

const machines = () => {
  const dir = join(platform.stateDir, 'machines')
  return existsSync(dir) ? readdirSync(dir) : []
}

test('without a node there is none until jobs wait; machines come, run them, and go again', async () => {
  assert.deepEqual(await nodes(), [])
  const bash = (code: string) => submitJob(platform, { runtime: 'bash', code, network: true, files: { outputs: [] } })
  const jobs = await Promise.all(Array.from({ length: 4 }, (_, i) => bash(`sleep 4; echo ${i}`)))
  await until('a machine is ready', async () => (await nodes()).some((node) => node.state === 'ready'))
  const some = machines().length
  assert.ok(some >= 1 && some <= 2, `${some} machines`)
  const ended = await Promise.all(jobs.map((jobId) => awaitEnd(platform, jobId)))
  assert.deepEqual(
    ended.map((job) => [job.state, job.attempts.length]),
    jobs.map(() => ['succeeded', 1]),
  )

  await until('no machine is left', () => machines().length === 0)
  await until('no node is left', async () => (await nodes()).length === 0)
  const { stdout } = await runCommand('docker', ['network', 'ls', '--filter', 'label=rgrid.dir', '--format', '{{.Label "rgrid.dir"}}'])
  assert.ok(!stdout.includes(platform.stateDir), 'a machine takes its network along')
})
