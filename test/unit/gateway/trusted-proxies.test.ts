import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ConfigError } from '#core/service/config.ts'
import { parseTrustedProxies } from '../../../gateway/trusted-proxies.ts'

test('addresses and ranges of both families are read; nothing is nobody', () => {
  assert.deepEqual(parseTrustedProxies('10.0.0.5, 172.16.0.0/12,::1,fd00::/8'), ['10.0.0.5', '172.16.0.0/12', '::1', 'fd00::/8'])
  for (const nothing of [undefined, '', ' , ']) assert.deepEqual(parseTrustedProxies(nothing), [])
})

test('what is none is refused by name, and so is everybody; all that is wrong is told at once', () => {
  for (const wrong of [
    'caddy',
    '10.0.0.300',
    '10.0.0.0/33',
    'fd00::/129',
    '10.0.0.0/',
    '10.0.0.0/255.0.0.0',
    '10.0.0.0/1e1',
    '1.2.3.4/8/8',
    'fe80::1%eth0',
    'true',
    '*',
  ])
    assert.throws(
      () => parseTrustedProxies(`10.0.0.5,${wrong}`),
      new RegExp(`RGRID_TRUSTED_PROXIES: "${wrong.replaceAll(/[.?*+^$[\]\\(){}|-]/g, '\\$&')}" is not`),
    )
  for (const everybody of ['0.0.0.0/0', '::/0']) assert.throws(() => parseTrustedProxies(everybody), /is everybody/)
  assert.throws(
    () => parseTrustedProxies('x,y'),
    (error: unknown) => error instanceof ConfigError && /"x"/.test(error.message) && /"y"/.test(error.message),
  )
})
