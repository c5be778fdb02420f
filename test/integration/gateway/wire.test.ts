import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Value } from '@sinclair/typebox/value'
import { Problem } from '#core/api.ts'
import { startGateway, TEST_HTTP, type TestGateway } from '../../harness/gateway.ts'
import { type RawAnswer, rawConnection } from '../../harness/raw-http.ts'

let gateway: TestGateway
let url: string
before(async () => {
  gateway = await startGateway()
  url = await gateway.listen()
})
after(() => gateway.stop())

const JOBS = '/v1/projects/default/jobs'
const head = (line: string, ...headers: string[]) =>
  `${[`${line} HTTP/1.1`, 'host: x', `authorization: Bearer ${gateway.key}`, ...headers].join('\r\n')}\r\n\r\n`
const post = (body: string | Buffer, type = 'application/json', ...headers: string[]) =>
  Buffer.concat([Buffer.from(head(`POST ${JOBS}`, `content-type: ${type}`, `content-length: ${Buffer.byteLength(body)}`, ...headers)), Buffer.from(body)])
const deep = (levels: number) => `{"spec":${'['.repeat(levels)}${']'.repeat(levels)}}`

function assertProblem(answer: RawAnswer, status: number, code: string): Problem {
  assert.equal(answer.status, status, answer.body)
  assert.match(String(answer.headers['content-type']), /^application\/problem\+json/)
  const problem: unknown = JSON.parse(answer.body)
  assert.ok(Value.Check(Problem, problem), answer.body)
  assert.equal(problem.code, code, answer.body)
  assert.equal(problem.status, status)
  assert.equal(problem.requestId, answer.headers['x-request-id'])
  assert.equal(answer.headers['x-content-type-options'], 'nosniff')
  assert.equal(answer.headers['cache-control'], 'no-store')
  return problem
}

/** What is sent, and what must be answered; made when it is needed, as it holds the key. */
const CASES: [string, () => string | Buffer, number, string][] = [
  ['an address that is none', () => head('GET /v1/nothing'), 404, 'not_found'],
  ['an address outside of the API', () => head('GET /favicon.ico'), 404, 'not_found'],
  ['a method that is not there', () => head(`DELETE ${JOBS}`), 405, 'method_not_allowed'],
  ['a method that the router does not know', () => head(`PROPFIND ${JOBS}`), 405, 'method_not_allowed'],
  [
    'OPTIONS where no origin is allowed',
    () => head(`OPTIONS ${JOBS}`, 'origin: https://a.example', 'access-control-request-method: POST'),
    405,
    'method_not_allowed',
  ],
  ['a method that HTTP does not know', () => head('BREW /coffee'), 400, 'bad_request'],
  ['CONNECT', () => 'CONNECT a.example:443 HTTP/1.1\r\nhost: a.example\r\n\r\n', 405, 'method_not_allowed'],
  ['an address with a broken escape', () => head('GET /v1/jobs/%zz'), 400, 'bad_request'],
  ['an address of 9,000 characters', () => head(`GET /v1/jobs?name=${'x'.repeat(9000)}`), 414, 'uri_too_long'],
  ['a part of an address that is too long', () => head(`GET /v1/jobs/${'x'.repeat(2000)}`), 414, 'uri_too_long'],
  ['an address of 20,000 characters', () => head(`GET /${'x'.repeat(20_000)}`), 431, 'headers_too_large'],
  ['headers of 20,000 characters', () => head('GET /v1/me', `x-a: ${'x'.repeat(20_000)}`), 431, 'headers_too_large'],
  ['no Host', () => 'GET /v1/me HTTP/1.1\r\n\r\n', 400, 'bad_request'],
  ['a body that is no JSON', () => post('{"spec":'), 400, 'bad_request'],
  ['an empty body', () => post(''), 400, 'bad_request'],
  ['a body that would change prototypes', () => post('{"__proto__": {}}'), 400, 'bad_request'],
  ['a body that would change constructors', () => post('{"constructor": {"prototype": {}}}'), 400, 'bad_request'],
  ['a body of another media type', () => post('a: b', 'application/yaml'), 415, 'unsupported_media_type'],
  ['a body of no media type', () => `${head(`POST ${JOBS}`, 'content-length: 2')}{}`, 415, 'unsupported_media_type'],
  ['a body in another charset', () => post('{}', 'application/json; charset=utf-16'), 415, 'unsupported_media_type'],
  ['a body that is compressed', () => post('{}', 'application/json', 'content-encoding: gzip'), 415, 'unsupported_media_type'],
  ['a body that is no UTF-8', () => post(Buffer.from([0x22, 0xff, 0xfe, 0x22])), 400, 'bad_request'],
  ['a body that is nested 65 levels deep', () => post(deep(64)), 400, 'bad_request'],
  ['a body that is nested a million levels deep', () => post(deep(1_000_000)), 400, 'bad_request'],
  ['the same with an Idempotency-Key', () => post(deep(100_000), 'application/json', 'idempotency-key: deep'), 400, 'bad_request'],
  ['a body of 400,000 empty objects', () => post(`{"spec":[${'{},'.repeat(399_999)}{}]}`), 422, 'validation'],
  ['a body of 1,000,000 empty objects', () => post(`{"spec":[${'{},'.repeat(999_999)}{}]}`), 413, 'too_large'],
  ['a body of 100,000 unknown fields', () => post(`{${Array.from({ length: 100_000 }, (_, i) => `"f${i}":0`).join()}}`), 422, 'validation'],
  ['a body that is said to be too large', () => head(`POST ${JOBS}`, 'content-type: application/json', 'content-length: 999999999999'), 413, 'too_large'],
  ['a body that is too large', () => post(JSON.stringify('x'.repeat(5 * 2 ** 20))), 413, 'too_large'],
  [
    'a body that is too large, in chunks',
    () => `${head(`POST ${JOBS}`, 'content-type: application/json', 'transfer-encoding: chunked')}480000\r\n${'x'.repeat(0x480000)}\r\n0\r\n\r\n`,
    413,
    'too_large',
  ],
  ['a Content-Length that is no number', () => head(`POST ${JOBS}`, 'content-type: application/json', 'content-length: two'), 400, 'bad_request'],
  ['a negative Content-Length', () => head(`POST ${JOBS}`, 'content-type: application/json', 'content-length: -1'), 400, 'bad_request'],
  ['two lengths', () => head(`POST ${JOBS}`, 'content-type: application/json', 'content-length: 2', 'content-length: 3'), 400, 'bad_request'],
  ['a length and chunks', () => head(`POST ${JOBS}`, 'content-type: application/json', 'content-length: 2', 'transfer-encoding: chunked'), 400, 'bad_request'],
  ['a chunk of no size', () => `${head(`POST ${JOBS}`, 'content-type: application/json', 'transfer-encoding: chunked')}zz\r\n`, 400, 'bad_request'],
  ['no HTTP at all', () => 'hello\r\n\r\n', 400, 'bad_request'],
  ['TLS', () => Buffer.from('16030100a5010000a10303', 'hex'), 400, 'bad_request'],
  ['a header without a colon', () => head('GET /v1/me', 'nonsense'), 400, 'bad_request'],
  ['a header with a control character', () => head('GET /v1/me', 'x-a: a\u0001b'), 400, 'bad_request'],
  ['a version that is none', () => 'GET / HTTP/9.9\r\nhost: x\r\n\r\n', 400, 'bad_request'],
  ['no credential', () => 'GET /v1/me HTTP/1.1\r\nhost: x\r\n\r\n', 401, 'unauthenticated'],
  ['an expectation that is not known', () => head('GET /v1/nothing', 'expect: miracles'), 404, 'not_found'],
]

for (const [what, bytes, status, code] of CASES) {
  test(`over the wire, ${what} is answered by a problem document: ${status} ${code}`, async () => {
    const connection = await rawConnection(url)
    connection.write(bytes())
    const answer = await connection.answer()
    const problem = assertProblem(answer, status, code)
    if (status === 405) assert.match(String(answer.headers.allow), /GET/)
    if (status === 401) assert.equal(answer.headers['www-authenticate'], 'Bearer')
    assert.ok(!problem.detail.includes(gateway.key))
    connection.close()
  })
}

test('the largest nesting that is allowed is looked at as any other document', async () => {
  const connection = await rawConnection(url)
  connection.write(post(deep(63)))
  assertProblem(await connection.answer(), 422, 'validation')
  connection.close()
})

test('brackets within strings are no nesting, and a quoted quote does not end one', async () => {
  const connection = await rawConnection(url)
  connection.write(post(JSON.stringify({ spec: { runtime: 'bash', command: ['echo', `"\\${'['.repeat(1000)}`] } })))
  assert.equal((await connection.answer()).status, 201)
  connection.close()
})

test('an error leaves the connection fit for the next request, unless its body could not be read: then the answer says that it closes', async () => {
  const connection = await rawConnection(url)
  for (const bytes of [head('GET /v1/nothing'), post('{}'), post('{"spec":{}}'), head('GET /v1/projects')]) {
    connection.write(bytes)
    const { status, headers } = await connection.answer()
    assert.notEqual(headers.connection, 'close', String(status))
  }
  connection.write(post('{'))
  assert.equal((await connection.answer()).headers.connection, 'close')
  await connection.ended()
})

test('HTTP that breaks behind an answer is answered too; the connection ends', async () => {
  const connection = await rawConnection(url)
  connection.write(head('GET /v1/projects'))
  assert.equal((await connection.answer()).status, 200)
  connection.write('what?\r\n\r\n')
  const answer = await connection.answer()
  assertProblem(answer, 400, 'bad_request')
  assert.equal(answer.headers.connection, 'close')
  await connection.ended()
})

test('a request that does not arrive in time is 408, head or body, and its connection ends', async () => {
  const hasty = await startGateway({ http: { ...TEST_HTTP, requestMs: 1000 } })
  const hastyUrl = await hasty.app.listen({ host: '127.0.0.1', port: 0 })
  try {
    for (const begun of [
      'GET /v1/me HTTP/1.1\r\nhost: x\r\n',
      `POST /v1/nodes/enrol HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 20\r\n\r\n{"a":`,
    ]) {
      const connection = await rawConnection(hastyUrl)
      connection.write(begun)
      const answer = await connection.answer()
      assertProblem(answer, 408, 'timeout')
      assert.equal(answer.headers.connection, 'close')
      await connection.ended()
    }
    assert.equal((await fetch(`${hastyUrl}/healthz`)).status, 200)
  } finally {
    await hasty.stop()
  }
})
