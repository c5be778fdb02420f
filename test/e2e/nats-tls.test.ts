import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { runJob } from '../harness/job.ts'
import { makeNatsCertificates, type NatsCertificates } from '../harness/nats-certificates.ts'
import { type Platform, startPlatform } from '../harness/platform.ts'
import { startTlsNats, type TlsNats } from '../harness/tls-nats.ts'

let certificates: NatsCertificates
let nats: TlsNats
let platform: Platform

before(async () => {
  certificates = makeNatsCertificates('127.0.0.1')
  nats = await startTlsNats(certificates.serverDir)
  platform = await startPlatform({ RGRID_NATS_URL: nats.url, RGRID_NATS_CA_FILE: certificates.caFile })
})
after(async () => {
  await platform?.stop()
  await nats?.stop()
  certificates?.remove()
})

test('a job is submitted, claimed, followed and ended through a NATS that speaks TLS alone', async () => {
  const { job, stdout } = await runJob(platform, { runtime: 'bash', code: 'for i in 1 2 3; do echo "line $i"; done; exit 4' })
  assert.deepEqual([job.state, job.exitCode, job.attempts.length], ['failed', 4, 1])
  assert.equal(stdout, 'line 1\nline 2\nline 3\n')
})

test('every connection of the platform began with TLS, and the node was told the CA', async () => {
  const identity = JSON.parse(readFileSync(join(platform.stateDir, 'node/identity.json'), 'utf8'))
  assert.deepEqual([identity.natsUrl, identity.natsCa], [nats.url, certificates.ca])
  const connections = await nats.connections()
  assert.deepEqual(connections.map(({ name }) => name).sort(), ['gateway', identity.nodeId, 'scheduler'].sort())
  for (const connection of connections) assert.deepEqual([connection.tls_version, connection.tls_first], ['1.3', true])
})
