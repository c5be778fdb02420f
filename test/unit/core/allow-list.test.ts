import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseAllowList, parsePorts } from '#core/allow-list.ts'

test('ports are read, or refused with the entry that is wrong', () => {
  assert.deepEqual(parsePorts('P', '80, 443,8080'), [80, 443, 8080])
  assert.deepEqual(parsePorts('P', ''), [])
  for (const wrong of ['http', '0', '65536', '-1', '80-90']) assert.throws(() => parsePorts('P', `80,${wrong}`), new RegExp(`P: "${wrong}" is not a port`))
})

test('the list of exceptions is read, or refused with the entry that is wrong', () => {
  assert.deepEqual(parseAllowList('X', '10.0.0.5, 10.1.0.0/16:5432'), [
    { cidr: '10.0.0.5/32', port: undefined },
    { cidr: '10.1.0.0/16', port: 5432 },
  ])
  assert.deepEqual(parseAllowList('X', ''), [])
  for (const wrong of ['example.com', '10.0.0.0/33', '10.0.0.300', '10.0.0.1:0', '10.0.0.1:99999', '::1', '10.0.0.1; -j ACCEPT'])
    assert.throws(() => parseAllowList('X', wrong), new RegExp(`X: "${wrong.replaceAll(/[.?*+^$[\]\\(){}|-]/g, '\\$&')}"`))
})
