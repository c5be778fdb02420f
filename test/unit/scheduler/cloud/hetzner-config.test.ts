import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readHetznerEnv } from '../../../harness/hetzner/client.ts'

const TOKEN = 'jEheVytlAoFl7F8MqUQ7jAo2hOXASztX'

test('with a token alone it is Hetzner in three places, the smallest machines first', () => {
  const config = readHetznerEnv({ RGRID_HCLOUD_TOKEN: TOKEN })
  assert.deepEqual(
    [config.url, config.image, config.armImage, config.ipv4, config.spread],
    ['https://api.hetzner.cloud/v1', 'debian-13', 'debian-13', true, false],
  )
  assert.deepEqual(config.types.slice(0, 4), ['cx23', 'cx22', 'cpx22', 'cax11'])
  assert.deepEqual(config.locations, ['fsn1', 'nbg1', 'hel1'])
})

test('lists lose blanks, gaps and repetitions', () => {
  const config = readHetznerEnv({ RGRID_HCLOUD_TOKEN: TOKEN, RGRID_HCLOUD_TYPES: ' cx33, cx23,,cx33 ', RGRID_HCLOUD_SSH_KEYS: 'ops' })
  assert.deepEqual([config.types, config.sshKeys], [['cx33', 'cx23'], ['ops']])
})

test('a snapshot is of one architecture', () => {
  assert.equal(readHetznerEnv({ RGRID_HCLOUD_TOKEN: TOKEN, RGRID_HCLOUD_IMAGE: '42' }).armImage, null)
  assert.equal(readHetznerEnv({ RGRID_HCLOUD_TOKEN: TOKEN, RGRID_HCLOUD_IMAGE: '42', RGRID_HCLOUD_IMAGE_ARM: '43' }).armImage, '43')
})

test('every fault is named at once, and the token in none of them', () => {
  const env = { RGRID_HCLOUD_TOKEN: `${TOKEN}\n x`, RGRID_HCLOUD_URL: 'http://api.example.com/v1', RGRID_HCLOUD_TYPES: ' , ', RGRID_HCLOUD_LOCATIONS: ',' }
  assert.throws(
    () => readHetznerEnv(env),
    (error: Error) => {
      for (const name of Object.keys(env)) assert.match(error.message, new RegExp(`${name} `))
      assert.doesNotMatch(error.message, new RegExp(TOKEN))
      return true
    },
  )
  assert.throws(() => readHetznerEnv({}), /RGRID_HCLOUD_TOKEN is not set/)
})

test('the token travels in the clear on loopback only', () => {
  const url = (text: string) => () => readHetznerEnv({ RGRID_HCLOUD_TOKEN: TOKEN, RGRID_HCLOUD_URL: text }).url
  assert.equal(url('http://127.0.0.1:1234/v1/')(), 'http://127.0.0.1:1234/v1')
  assert.equal(url('http://[::1]:1/v1')(), 'http://[::1]:1/v1')
  for (const wrong of ['http://127.0.0.1.example.com/', 'http://10.0.0.1/', 'ftp://127.0.0.1/', 'api.hetzner.cloud', 'https://u:p@api.hetzner.cloud/v1'])
    assert.throws(url(wrong), /RGRID_HCLOUD_URL is not usable/, wrong)
})
