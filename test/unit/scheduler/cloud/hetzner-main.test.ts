import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { createLog } from '#core/service/log.ts'
import { createHetzner } from '../../../../scheduler/cloud/hetzner.ts'
import { cloudError, readHetznerEnv } from '../../../harness/hetzner/client.ts'

const ROOT = join(import.meta.dirname, '../../../..')

test('the stand-in starts by itself, takes faults, shows its bill, and ends on SIGTERM', async () => {
  const child = spawn(process.execPath, ['test/harness/hetzner/main.ts', '--no-boot', '--token', 'sesame'], { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] })
  const ended = once(child, 'exit')
  const [line] = (await once(createInterface({ input: child.stdout }), 'line')) as [string]
  const { url, controlUrl, dir } = JSON.parse(line) as Record<string, string>
  const control = async (method: string, path: string, body?: unknown) =>
    (await fetch(`${controlUrl}${path}`, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })).json() as Promise<Record<string, unknown>>
  try {
    const signal = AbortSignal.timeout(60_000)
    const config = readHetznerEnv({ RGRID_HCLOUD_URL: url as string, RGRID_HCLOUD_TOKEN: 'sesame' })
    const cloud = createHetzner(config, { installation: 'test', log: createLog('test', 'silent') })
    const order = { nodeId: 'node_1', name: 'rgrid-test-1', pool: 'default', serverType: 'cx23', location: 'fsn1', userData: '' }
    await control('POST', '/faults', [{ method: 'POST', route: '/servers', error: { code: 'resource_limit_exceeded' } }])
    assert.equal((await cloudError(cloud.create(order, signal))).kind, 'limit')
    await cloud.create(order, signal)
    const bill = await control('GET', '/bill')
    assert.equal(bill.totalMicrons, 9600)
    assert.equal((bill.charges as { hours: number }[]).length, 2)
    await control('POST', '/availability', { serverType: 'cx23', location: 'fsn1', available: false })
    assert.equal((await cloudError(cloud.create({ ...order, name: 'rgrid-test-2' }, signal))).code, 'resource_unavailable')
  } finally {
    child.kill('SIGTERM')
    rmSync(dir as string, { recursive: true })
  }
  assert.deepEqual(await ended, [0, null])
})
