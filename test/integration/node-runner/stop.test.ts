import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, type TestContext, test } from 'node:test'
import { createEnrolmentToken } from '#store/bootstrap.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { startProcess, type TestProcess } from '../../harness/process.ts'

/** Nobody listens there. */
const NO_NATS = 'nats://127.0.0.1:1'
const dir = mkdtempSync(join(tmpdir(), 'rgrid-stop-'))
let gateway: TestGateway
let gatewayWithoutNats: TestGateway

before(async () => {
  gateway = await startGateway()
  gatewayWithoutNats = await startGateway({ natsNodeUrl: NO_NATS })
})
after(async () => {
  await gateway.stop()
  await gatewayWithoutNats.stop()
  rmSync(dir, { recursive: true, force: true })
})

async function begin(t: TestContext, at: TestGateway): Promise<TestProcess> {
  const runner = startProcess('node-runner', {
    RGRID_API_URL: await at.listen(),
    RGRID_ENROL_TOKEN: await createEnrolmentToken(at.admin, 300),
    RGRID_NODE_DIR: mkdtempSync(join(dir, 'node-')),
    RGRID_NODE_SLOTS: '1',
  })
  t.after(() => runner.kill())
  await runner.logged(/"enrolled"/)
  return runner
}

test('a runner that is told to stop once it is enrolled stops, however far it has come', { timeout: 120_000 }, async (t) => {
  const runner = await begin(t, gateway)
  assert.equal(await runner.stop(), 0)
})

test('one that still waits for NATS stops too', { timeout: 120_000 }, async (t) => {
  const runner = await begin(t, gatewayWithoutNats)
  assert.equal(await runner.stop(), 0)
  assert.doesNotMatch(runner.output(), /"started"/)
})
