import assert from 'node:assert/strict'
import { test } from 'node:test'
import { egressRules, REFUSED_RANGES, refusedIn } from '../../../node-runner/egress/rules.ts'

const chains = { forward: 'F', input: 'I' }

test('both chains are replaced at once, exceptions stand before refusals, and the machine itself is refused last', () => {
  const lines = egressRules(chains, [{ cidr: '10.1.2.3/32', port: 443 }], ['10.0.0.53'], ['198.51.100.1']).split('\n')
  assert.deepEqual(lines.slice(0, 3), ['*filter', ':F - [0:0]', ':I - [0:0]'])
  const index = (text: string) => lines.findIndex((line) => line.includes(text))
  assert.ok(index('-A F -d 10.1.2.3/32 -p tcp --dport 443 -j RETURN') < index('-A F -d 10.0.0.0/8 -j REJECT'))
  assert.ok(lines.includes('-A F -d 10.0.0.53/32 -p udp --dport 53 -j RETURN'))
  for (const range of [...REFUSED_RANGES, '198.51.100.1/32']) assert.ok(lines.includes(`-A F -d ${range} -j REJECT`), range)
  assert.equal(lines.filter((line) => line.startsWith('-A I')).at(-1), '-A I -j REJECT')
  assert.equal(lines.at(-2), 'COMMIT')
})

test('the metadata address and every private range are refused', () => {
  for (const range of ['169.254.0.0/16', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', '127.0.0.0/8'])
    assert.ok(REFUSED_RANGES.includes(range))
})

test('the packets that a chain refused are counted of what iptables prints', () => {
  const listing = `Chain RGRID-F-1 (1 references)
    pkts      bytes target     prot opt in     out     source               destination
     900    12000 RETURN     all  --  *      *       0.0.0.0/0            0.0.0.0/0            ctstate RELATED,ESTABLISHED
       3      180 REJECT     all  --  *      *       0.0.0.0/0            10.0.0.0/8           reject-with icmp-port-unreachable
       4      240 REJECT     0    --  *      *       0.0.0.0/0            169.254.0.0/16       reject-with icmp-port-unreachable
`
  assert.equal(refusedIn(listing), 7)
  assert.equal(refusedIn(''), 0)
})
