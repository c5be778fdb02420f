import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { ConfigError, readConfig } from '#core/service/config.ts'

const Env = Type.Object({
  RGRID_URL: Type.String({ description: 'an address' }),
  RGRID_COUNT: Type.Integer({ default: 3, minimum: 1, maximum: 9 }),
  RGRID_KEY_FILE: Type.Optional(Type.String({ description: 'a path' })),
})
const dir = mkdtempSync(join(tmpdir(), 'rgrid-config-'))
after(() => rmSync(dir, { recursive: true }))

test('values are converted, defaults filled in, the result is frozen', () => {
  const env = readConfig(Env, { RGRID_URL: 'x', RGRID_COUNT: '7', OTHER: 'y' })
  assert.deepEqual(env, { RGRID_URL: 'x', RGRID_COUNT: 7 })
  assert.ok(Object.isFrozen(env))
  assert.equal(readConfig(Env, { RGRID_URL: 'x', RGRID_COUNT: '' }).RGRID_COUNT, 3)
})

test('a value may stand in a file', () => {
  writeFileSync(join(dir, 'url'), 'from-file\n')
  assert.equal(readConfig(Env, { RGRID_URL_FILE: join(dir, 'url') }).RGRID_URL, 'from-file')
})

test('a variable that is itself a path keeps the path', () => {
  assert.equal(readConfig(Env, { RGRID_URL: 'x', RGRID_KEY_FILE: '/a/b' }).RGRID_KEY_FILE, '/a/b')
})

test('every fault is listed at once, and no value is shown', () => {
  assert.throws(
    () => readConfig(Env, { RGRID_URL_FILE: join(dir, 'missing'), RGRID_COUNT: 's3cret' }),
    (error: unknown) => {
      assert.ok(error instanceof ConfigError)
      assert.match(error.message, /RGRID_URL_FILE cannot be read/)
      assert.match(error.message, /RGRID_COUNT is not usable: it must be a integer from 1 to 9/)
      assert.doesNotMatch(error.message, /s3cret/)
      return true
    },
  )
  assert.throws(() => readConfig(Env, {}), /RGRID_URL is not set: an address/)
})
