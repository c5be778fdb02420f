import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { RGridError } from '#core/errors.ts'
import { validateJob } from '#core/job/validate.ts'
import { RUNTIMES } from '#core/runtimes.ts'
import { validateBatch } from '../../harness/batch.ts'
import { WRONG_JOBS } from '../../harness/wrong-specs.ts'

const GOOD = { runtime: 'bash', command: ['true'] }

function refusal(work: () => unknown): RGridError {
  try {
    work()
  } catch (error) {
    assert.ok(error instanceof RGridError)
    assert.equal(error.code, 'validation')
    return error
  }
  assert.fail('it was accepted')
}

const pathsOf = (error: RGridError) => error.issues.map((issue) => issue.path)

for (const { what, path, document } of WRONG_JOBS) {
  test(`refused: ${what} (${path})`, () => {
    const error = refusal(() => validateJob(document, RUNTIMES))
    assert.deepEqual(pathsOf(error), [path])
    assert.ok(error.message.startsWith(`${path}: `), error.message)
  })
}

test('every fault is named at once', () => {
  const error = refusal(() => validateJob({ metadata: { name: ' ' }, spec: { ...GOOD, retries: -1, timeoutSeconds: 'x' } }, RUNTIMES))
  assert.deepEqual(pathsOf(error).sort(), ['metadata.name', 'spec.retries', 'spec.timeoutSeconds'])
  assert.match(error.message, /and 2 more/)
})

test('a document with endless faults is answered with 50', () => {
  const env = Object.fromEntries(Array.from({ length: 500 }, (_, i) => [`V${i}`, i]))
  assert.equal(refusal(() => validateJob({ spec: { ...GOOD, env } }, RUNTIMES)).issues.length, 50)
})

test('the shortest job gets every default', () => {
  assert.deepEqual(validateJob({ spec: GOOD }, RUNTIMES), {
    name: null,
    labels: {},
    project: null,
    resolved: {
      runtime: 'bash',
      image: RUNTIMES.bash?.image,
      command: ['true'],
      args: [],
      env: {},
      secretEnv: {},
      maskEnv: null,
      code: null,
      requirements: null,
      inputs: [],
      outputs: null,
      cpuMillis: 1000,
      memoryBytes: 512 * 2 ** 20,
      diskBytes: 2 * 2 ** 30,
      slots: 1,
      timeoutSeconds: 3600,
      prepareTimeoutSeconds: 600,
      maxQueueSeconds: null,
      gracePeriodSeconds: 10,
      network: false,
      retries: 0,
      backoff: { initialSeconds: 1, factor: 2, maxSeconds: 300 },
      retryOn: { exitCodes: null, oom: true, timeout: true },
      priority: 0,
      notBefore: null,
      webhook: null,
    },
  })
})

for (const [what, change, expected] of [
  ['a script names its runtime', { runtime: undefined, command: ['python', 'main.py'] }, { runtime: 'python:3.11' }],
  [
    'code without a runtime is Python',
    { runtime: undefined, command: undefined, code: 'print(1)' },
    { runtime: 'python:3.11', command: ['python', 'main.py'] },
  ],
  ['an alias is a runtime', { runtime: 'ffmpeg' }, { runtime: 'ffmpeg:latest' }],
  ['any other name is an image', { runtime: 'ghcr.io/me/tool:1.2' }, { runtime: null, image: 'ghcr.io/me/tool:1.2' }],
  ['an image may have its own command', { runtime: `alpine@sha256:${'a'.repeat(64)}`, command: undefined }, { command: null }],
  ['a job takes a slot for each CPU begun', { resources: { cpu: '1500m' } }, { cpuMillis: 1500, slots: 2 }],
  ['no outputs is not all outputs', { files: { outputs: [] } }, { outputs: [] }],
  ['an output is a file when it does not say', { files: { outputs: [{ path: 'x' }] } }, { outputs: [{ path: 'x', type: 'file' }] }],
  ['a time in another zone is stored in UTC', { notBefore: '2030-01-01T02:00:00+02:00' }, { notBefore: '2030-01-01T00:00:00.000Z' }],
  [
    'the job’s own variable wins over the runtime’s',
    { runtime: 'python:3.12', env: { PYTHONUNBUFFERED: '' } },
    { env: { PYTHONUNBUFFERED: '', PYTHONDONTWRITEBYTECODE: '1' } },
  ],
  [
    'a secret is kept apart from texts, and wins over the runtime’s variable',
    { runtime: 'python:3.12', env: { A: 'text', TOKEN: { secret: 'deploy-token' }, PYTHONUNBUFFERED: { secret: 'x' } } },
    { env: { A: 'text', PYTHONDONTWRITEBYTECODE: '1' }, secretEnv: { TOKEN: 'deploy-token', PYTHONUNBUFFERED: 'x' } },
  ],
  ['a secret may be named among those to mask, which it is anyway', { env: { A: { secret: 'a' } }, maskEnv: ['A'] }, { secretEnv: { A: 'a' } }],
] as const) {
  test(what, () => {
    const { resolved } = validateJob({ spec: { ...GOOD, ...change } }, RUNTIMES)
    assert.deepEqual({ ...resolved, ...expected }, resolved)
  })
}

test('a batch job is the template with what the item has of its own', () => {
  const batch = validateBatch(
    {
      metadata: { labels: { a: '1', b: '1' } },
      template: { ...GOOD, args: ['x'], env: { A: '1', B: '1' } },
      items: [{}, { name: 'second', args: ['y'], env: { B: '2' }, labels: { b: '2' } }],
    },
    RUNTIMES,
  )
  const [first, second] = batch.jobs
  assert.deepEqual([first?.resolved.args, first?.resolved.env, first?.labels, first?.name], [['x'], { A: '1', B: '1' }, { a: '1', b: '1' }, null])
  assert.deepEqual([second?.resolved.args, second?.resolved.env, second?.labels, second?.name], [['y'], { A: '1', B: '2' }, { a: '1', b: '2' }, 'second'])
})

test('an item takes the place of a secret of the template by a text or another secret, and the other way round', () => {
  const template = { ...GOOD, env: { A: { secret: 'a' }, B: 'text' } }
  const { jobs, template: shared } = validateBatch(
    { template, items: [{}, { env: { A: 'text', B: { secret: 'b' } } }, { env: { A: { secret: 'c' } } }] },
    RUNTIMES,
  )
  assert.deepEqual(shared.secretEnv, { A: 'a' })
  assert.deepEqual(
    jobs.map(({ resolved }) => [resolved.env, resolved.secretEnv]),
    [
      [{ B: 'text' }, { A: 'a' }],
      [{ A: 'text' }, { B: 'b' }],
      [{ B: 'text' }, { A: 'c' }],
    ],
  )
})

for (const [what, path, document] of [
  ['no items', 'items', { template: GOOD, items: [] }],
  ['a parallelism of nothing', 'parallel', { template: GOOD, items: [{}], parallel: 0 }],
  ['a fault of the template', 'template.resources.memory', { template: { ...GOOD, resources: { memory: '1Q' } }, items: [{}, {}] }],
  ['a fault of one item', 'items.1.env.RGRID_X', { template: GOOD, items: [{}, { env: { RGRID_X: '1' } }] }],
  ['a field that an item has not', 'items.0.runtime', { template: GOOD, items: [{ runtime: 'bash' }] }],
  ['NUL in the args of the template', 'template.args.0', { template: { ...GOOD, args: ['\u0000'] }, items: [{}] }],
  [
    'an input of an item that leaves the work folder',
    'items.1.inputs.0.path',
    {
      template: { ...GOOD, files: { inputs: [{ path: 'x', url: 'https://example.com' }] } },
      items: [{}, { inputs: [{ path: '../x', url: 'https://example.com' }] }],
    },
  ],
  [
    'an input of an item that is there already',
    'items.0.inputs',
    {
      template: { ...GOOD, files: { inputs: [{ path: 'x', url: 'https://example.com' }] } },
      items: [{ inputs: [{ path: 'x', url: 'https://example.com' }] }],
    },
  ],
] as const) {
  test(`a batch is refused: ${what} (${path})`, () => {
    assert.deepEqual(pathsOf(refusal(() => validateBatch(document, RUNTIMES))), [path])
  })
}

test('whatever is sent is accepted or refused as not valid, never anything else', () => {
  fc.assert(
    fc.property(fc.record({ spec: fc.anything(), metadata: fc.anything() }, { requiredKeys: [] }), (document) => {
      try {
        validateJob(document, RUNTIMES)
      } catch (error) {
        assert.ok(error instanceof RGridError && error.code === 'validation', String(error))
      }
    }),
    { numRuns: 300 },
  )
})
