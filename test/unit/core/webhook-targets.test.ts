import assert from 'node:assert/strict'
import { test } from 'node:test'
import { webhookTargets, webhookUrlFault } from '#core/webhook-targets.ts'

const open = webhookTargets({ RGRID_WEBHOOK_PORTS: '80,443,8080,8443', RGRID_WEBHOOK_ALLOW: '' })
const own = webhookTargets({ RGRID_WEBHOOK_PORTS: '443', RGRID_WEBHOOK_ALLOW: '10.1.0.0/16,192.168.7.9:3000' })

for (const url of [
  'https://example.com/hook?x=1',
  'https://example.com:8443/',
  'https://93.184.216.34/',
  'https://[2606:2800:220:1::1]/',
  'https://EXAMPLE.com',
])
  test(`${url} is good`, () => assert.equal(webhookUrlFault(url, open), undefined))

for (const [url, why] of [
  ['call me', /https address/],
  [`https://example.com/${'x'.repeat(2100)}`, /at most 2048/],
  ['http://example.com/', /https/],
  ['ftp://example.com/', /https/],
  ['https://user:pw@example.com/', /user name/],
  ['https://example.com/#part', /fragment/],
  ['https://example.com:22/', /port 22/],
  ['https://127.0.0.1/', /no public address/],
  ['https://2130706433/', /no public address/],
  ['https://0x7f.1/', /no public address/],
  ['https://10.0.0.5/', /no public address/],
  ['https://100.64.0.1/', /no public address/],
  ['https://169.254.169.254/', /no public address/],
  ['https://192.168.1.1/', /no public address/],
  ['https://172.31.255.255/', /no public address/],
  ['https://224.0.0.1/', /no public address/],
  ['https://0.0.0.0/', /no public address/],
  ['https://[::1]/', /no public address/],
  ['https://[::ffff:127.0.0.1]/', /no public address/],
  ['https://[fd00::1]/', /no public address/],
  ['https://[fe80::1]/', /no public address/],
  ['https://[2002:7f00:1::]/', /no public address/],
  ['https://[64:ff9b::7f00:1]/', /no public address/],
] as const)
  test(`${url.slice(0, 60)} is refused`, () => assert.match(webhookUrlFault(url, open) ?? '', why))

test('networks of the installation are let through, at their ports, and over plain http', () => {
  for (const url of ['https://10.1.2.3/', 'http://192.168.7.9:3000/', 'http://intern.example:3000/']) assert.equal(webhookUrlFault(url, own), undefined, url)
  for (const url of ['https://10.2.0.1/', 'http://93.184.216.34:3000/', 'http://10.1.2.3:9000/', 'https://192.168.7.9/'])
    assert.ok(webhookUrlFault(url, own), url)
})
