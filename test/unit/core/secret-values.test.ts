import assert from 'node:assert/strict'
import { test } from 'node:test'
import { secretNames, secretValues, withoutSecrets } from '#core/job/secret-values.ts'

for (const name of [
  'PASSWORD',
  'DB_PASSWORD',
  'GITHUB_TOKEN',
  'AWS_SECRET_ACCESS_KEY',
  'OPENAI_API_KEY',
  'STRIPE_SECRET',
  'PG_CONNECTION_STRING',
  'deploy_token',
])
  test(`${name} is secret by its name`, () => assert.deepEqual(secretNames({ env: { [name]: 'x' } }), [name]))

for (const name of ['PATH', 'TOKENIZER', 'SECRETARY', 'KEY', 'MONKEY', 'PASSWORD_FILE_FORMAT'])
  test(`${name} is not`, () => assert.deepEqual(secretNames({ env: { [name]: 'x' } }), []))

test('a job says itself what is secret, also that nothing is', () => {
  const env = { API_TOKEN: 'abcdefgh', LEVEL: 'verbose!' }
  assert.deepEqual(secretNames({ env, maskEnv: ['LEVEL'] }), ['LEVEL'])
  assert.deepEqual(secretNames({ env, maskEnv: [] }), [])
})

test('a value is known in the forms in which it is printed, the longest first; short ones are not', () => {
  const values = secretValues({ env: { A_TOKEN: 'a b/c?d', B_TOKEN: '12345' } })
  assert.deepEqual(new Set(values), new Set(['a b/c?d', 'a%20b%2Fc%3Fd', 'YSBiL2M/ZA==', 'YSBiL2M_ZA']))
  assert.deepEqual(
    values.map((value) => value.length),
    values.map((value) => value.length).sort((a, b) => b - a),
  )
})

test('secrets of the project are known whatever maskEnv says, and however short they are', () => {
  assert.deepEqual(secretValues({ env: { A_TOKEN: 'abcdefgh' }, maskEnv: [] }, ['1234', 'ab\n', '\n']), ['1234', 'ab\n', 'ab', '\n'])
  assert.ok(secretValues({ env: {} }, ['a long value\n']).includes('a long value'))
})

test('of a value of many lines each line is known', () => {
  const values = secretValues({ env: { SSH_PRIVATE_KEY: '-----BEGIN-----\nabcdefghij\n\nxy\n' } })
  assert.ok(values.includes('abcdefghij') && values.includes('-----BEGIN-----') && !values.includes('xy'))
})

test('a very long value is known in pieces', () => {
  const value = 'x'.repeat(5000)
  assert.deepEqual(
    secretValues({ env: { A_TOKEN: value } })
      .filter((one) => one.startsWith('x'))
      .map((one) => one.length),
    [4096, 904],
  )
})

test('a spec is shown without the values', () => {
  assert.deepEqual(withoutSecrets({ env: { A_TOKEN: 'abcdefgh', LEVEL: 'info' } }).env, { A_TOKEN: '***', LEVEL: 'info' })
})

test('a spec is shown with the names of its secrets, as in the document', () => {
  const shown = withoutSecrets({ env: { LEVEL: 'info' }, secretEnv: { TOKEN: 'deploy-token' }, maskEnv: null })
  assert.deepEqual(shown, { env: { LEVEL: 'info', TOKEN: { secret: 'deploy-token' } }, maskEnv: null })
})
