import assert from 'node:assert/strict'
import { createServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer } from 'node:net'
import { after, before, test } from 'node:test'
import type { Resolve } from '../../../scheduler/webhooks/resolve.ts'
import { createSender, type SenderOptions } from '../../../scheduler/webhooks/send.ts'
import { findTarget } from '../../../scheduler/webhooks/target.ts'

const PORTS = [80, 443, 8080, 8443]
const never: Resolve = () => assert.fail('a literal address is not looked up')
const { signal } = new AbortController()
const requests: string[] = []
const server = createServer((request, response) => {
  requests.push(request.url ?? '')
  if (request.url === '/redirect') response.writeHead(302, { location: `http://127.0.0.1:${port}/secret` }).end()
  else response.end('hello')
})
let port: number

before(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  port = (server.address() as AddressInfo).port
})
after(() => server.close())

/** Ways to write the same address are other entries: what the URL parser makes of them counts. */
const REFUSED: readonly [kind: string, addresses: string[]][] = [
  ['private', ['10.0.0.1', '10.255.255.255', '172.16.0.1', '172.31.255.255', '192.168.0.1', 'fc00::1', 'fd12:3456::1']],
  ['loopback', ['127.0.0.1', '127.255.255.254', '::1']],
  ['link-local', ['169.254.1.1', 'fe80::1', 'febf::1']],
  ['metadata', ['169.254.169.254', 'fd00:ec2::254', '100.100.100.200']],
  ['unspecified', ['0.0.0.0', '0.1.2.3', '::']],
  ['CGNAT', ['100.64.0.1', '100.127.255.255']],
  ['multicast', ['224.0.0.1', '239.255.255.255', 'ff02::1']],
  ['broadcast and reserved', ['255.255.255.255', '240.0.0.1', '192.0.0.8', '192.0.2.1', '198.18.0.1', '198.51.100.1', '203.0.113.1', '2001:db8::1']],
  ['IPv4 mapped', ['::ffff:127.0.0.1', '::ffff:10.0.0.1', '::ffff:a9fe:a9fe', '::ffff:8.8.8.8']],
  ['IPv4 in IPv6, old', ['::127.0.0.1', '::10.0.0.1', '::ffff:0:127.0.0.1']],
  ['NAT64', ['64:ff9b::127.0.0.1', '64:ff9b::a9fe:a9fe', '64:ff9b:1::10.0.0.1']],
  ['6to4 and Teredo', ['2002:7f00:1::', '2002:a00:1::1', '2001:0:a00:1::1']],
  ['site-local, discard and not given out', ['fec0::1', '100::1', '4000::1', '5f00::1']],
]

for (const [kind, addresses] of REFUSED) {
  test(`${kind} addresses are refused, in the URL and behind a name`, async () => {
    for (const address of addresses) {
      const literal = address.includes(':') ? `[${address}]` : address
      const sender = (change: Partial<SenderOptions>) => createSender({ ports: PORTS, allowed: [], resolve: never, ...change })
      const direct = await sender({})({ url: `https://${literal}/`, headers: {}, body: '' }, signal)
      assert.equal(direct.outcome, 'refused', `${address}: ${direct.error}`)
      const named = sender({ resolve: async () => [address] })
      const behind = await named({ url: 'https://receiver.example/', headers: {}, body: '' }, signal)
      assert.equal(behind.outcome, 'refused', `name of ${address}: ${behind.error}`)
      const mixed = sender({ resolve: async () => ['8.8.8.8', address] })
      assert.equal((await mixed({ url: 'https://receiver.example/', headers: {}, body: '' }, signal)).outcome, 'refused', `8.8.8.8 and ${address}`)
    }
  })
}

test('loopback in disguise is refused', async () => {
  const send = createSender({ ports: PORTS, allowed: [], resolve: never })
  for (const host of ['2130706433', '0x7f.1', '0177.0.0.1', '127.1', '127.0.0.1.', '①②⑦.0.0.1', '0'])
    assert.equal((await send({ url: `https://${host}/`, headers: {}, body: '' }, signal)).outcome, 'refused', host)
})

test('public addresses are good over https, at the ports of the list', async () => {
  const rules = { ports: PORTS, allowed: [] }
  for (const address of ['8.8.8.8', '172.32.0.1', '100.128.0.1', '2606:4700::1111']) {
    const { addresses, allowed } = await findTarget('https://receiver.example:8443/x', rules, async () => [address])
    assert.deepEqual([addresses, allowed], [[address], []])
  }
  for (const [url, why] of [
    ['http://receiver.example/', /must be https/],
    ['https://receiver.example:22/', /port 22/],
    ['https://user:pass@receiver.example/', /user name or password/],
    ['ftp://receiver.example/', /http or https/],
    ['nonsense', /http or https/],
  ] as const)
    await assert.rejects(
      findTarget(url, rules, async () => ['8.8.8.8']),
      why,
      url,
    )
  await assert.rejects(
    findTarget('https://receiver.example/', rules, async () => []),
    /no address/,
  )
})

test('networks of the installation are let through, at their port and over plain http; others at that port are not', async () => {
  const rules = {
    ports: PORTS,
    allowed: [
      { cidr: '10.1.0.0/16', port: undefined },
      { cidr: '10.2.0.1/32', port: 9000 },
    ],
  }
  const cases: [url: string, address: string, good: boolean][] = [
    ['http://in.example/', '10.1.2.3', true],
    ['https://in.example/', '10.1.2.3', true],
    ['http://in.example:9000/', '10.2.0.1', true],
    ['http://in.example:9000/', '10.1.2.3', false],
    ['http://in.example:9000/', '8.8.8.8', false],
    ['https://in.example:9000/', '8.8.8.8', false],
    ['http://in.example:9001/', '10.2.0.1', false],
    ['http://in.example/', '10.2.0.1', false],
    ['http://in.example/', '8.8.8.8', false],
    ['http://in.example/', '::ffff:10.1.2.3', false],
  ]
  for (const [url, address, good] of cases) {
    const found = await findTarget(url, rules, async () => [address]).then(
      ({ allowed }) => allowed.includes(address),
      () => false,
    )
    assert.equal(found, good, `${url} at ${address}`)
  }
})

test('a name that changes its mind is asked once for each message, and what it said then is what is connected to', async () => {
  const answers = ['127.0.0.1', '127.0.0.2', '127.0.0.1']
  let asked = 0
  const resolve = async () => [answers[asked++] ?? '']
  const send = createSender({ ports: PORTS, allowed: [{ cidr: '127.0.0.1/32', port }], resolve })
  const outcomes: string[] = []
  for (let i = 0; i < 3; i++) outcomes.push((await send({ url: `http://rebinding.example:${port}/rebinding`, headers: {}, body: '' }, signal)).outcome)
  assert.deepEqual([outcomes, asked], [['taken', 'refused', 'taken'], 3])
})

test('a redirect is an answer, and is not followed', async () => {
  const send = createSender({ ports: PORTS, allowed: [{ cidr: '127.0.0.1/32', port }], resolve: never })
  const answer = await send({ url: `http://127.0.0.1:${port}/redirect`, headers: {}, body: '' }, signal)
  assert.deepEqual([answer.outcome, answer.status], ['answered', 302])
  assert.ok(!requests.includes('/secret'))
})

test('name lookup, TCP and TLS have a limit of their own', async () => {
  const silent = createTcpServer(() => {})
  await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve))
  const { port: silentPort } = silent.address() as AddressInfo
  const allowed = [{ cidr: '127.0.0.1/32', port: silentPort }]
  const hanging = createSender({ ports: PORTS, allowed, resolve: () => new Promise(() => {}), connectMs: 50 })
  const slowTls = createSender({ ports: PORTS, allowed, resolve: never, connectMs: 50 })
  for (const answer of [
    await hanging({ url: 'https://silent.example/', headers: {}, body: '' }, signal),
    await slowTls({ url: `https://127.0.0.1:${silentPort}/`, headers: {}, body: '' }, signal),
  ]) {
    assert.equal(answer.outcome, 'timeout')
    assert.match(answer.error ?? '', /no connection within 0.05 s/)
  }
  const http = await createSender({ ports: PORTS, allowed, resolve: never, wholeMs: 50 })(
    { url: `http://127.0.0.1:${silentPort}/`, headers: {}, body: '' },
    signal,
  )
  assert.match(http.error ?? '', /no answer within 0.05 s/)
  silent.close()
})
