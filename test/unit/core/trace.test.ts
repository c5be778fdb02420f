import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import type { Assignment } from '#bus/messages/claim.ts'
import { createMetrics } from '#core/service/metrics.ts'
import { NO_TRACER, type Tracer } from '#core/service/trace.ts'
import { createRunnerMeters } from '../../../node-runner/meters.ts'
import { traceVariables, watchAttempt } from '../../../node-runner/watch.ts'

const root = join(import.meta.dirname, '../../..')
const PARENT = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', tracestate: 'a=1' }

test('only core/service/otel.ts names the packages of OpenTelemetry, and only trace.ts loads it, when it must', () => {
  for (const file of globSync('{core,bus,store,gateway,scheduler,node-runner,cli}/**/*.ts', { cwd: root })) {
    const text = readFileSync(join(root, file), 'utf8')
    if (file !== 'core/service/otel.ts') assert.doesNotMatch(text, /@opentelemetry\//, file)
    if (file !== 'core/service/trace.ts') assert.doesNotMatch(text, /otel\.ts'/, file)
    else assert.doesNotMatch(text, /from '.\/otel\.ts'/)
  }
})

// With the address, to see that the look would find them.
for (const [endpoint, loads] of [
  ['', false],
  ['http://127.0.0.1:9', true],
] as const)
  test(`the packages are ${loads ? 'loaded' : 'not loaded'} ${loads ? 'with' : 'without'} the address of a collector`, async () => {
    const program = `
      import { registerHooks } from 'node:module'
      const loaded = []
      registerHooks({ load: (url, context, next) => { loaded.push(url); return next(url, context) } })
      const { openTracing } = await import('#core/service/trace.ts')
      const metrics = { counter: () => ({ inc() {} }) }
      const env = { OTEL_TRACES_SAMPLER: 'always_on', OTEL_BSP_SCHEDULE_DELAY: 5000, ...(process.argv[1] ? { OTEL_EXPORTER_OTLP_ENDPOINT: process.argv[1] } : {}) }
      await openTracing('x', env, metrics, {})
      process.stdout.write(String(loaded.some((url) => url.includes('@opentelemetry'))))
      process.exit()`
    const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', program, endpoint], { cwd: root })
    assert.equal(stdout, String(loads))
  })

const assignment = (trace: Partial<Assignment>) => ({ attemptId: 'att_1', attemptNumber: 1, jobId: 'job_1', ...trace }) as Assignment

test('a job gets the trace as it came when the node makes no spans, and none when there is none', () => {
  const meters = createRunnerMeters(createMetrics())
  const watch = watchAttempt(assignment(PARENT), 'node_1', meters, NO_TRACER)
  assert.deepEqual(traceVariables(watch.context), { TRACEPARENT: PARENT.traceparent, TRACESTATE: 'a=1' })
  for (const without of [{}, { traceparent: null, tracestate: null }, { traceparent: 'x\nEVIL=1', tracestate: null }])
    assert.deepEqual(traceVariables(watchAttempt(assignment(without), 'node_1', meters, NO_TRACER).context), {})
})

test('steps are parts of the step that they belong to, end once, and tell how they ended', async () => {
  const ended: string[] = []
  const tracer: Tracer = {
    span(name, options) {
      const traceparent = `${options?.parent?.traceparent.replace(PARENT.traceparent, '')}/${name}`
      return { context: { traceparent, tracestate: null }, set: () => undefined, end: (error) => void ended.push(`${traceparent}${error ? ' failed' : ''}`) }
    },
  }
  const metrics = createMetrics()
  const watch = watchAttempt(assignment(PARENT), 'node_1', createRunnerMeters(metrics), tracer)
  await watch.step('prepare', () => watch.step('image', async () => undefined))
  const start = watch.begin('start')
  start(new Error('no'))
  start()
  await assert.rejects(watch.step('create', () => Promise.reject(Object.assign(new Error('no image'), { statusCode: 404 }))))
  await assert.rejects(watch.step('run', () => Promise.reject(new Error('no'))))
  watch.end('exit')
  assert.deepEqual(ended, ['/attempt/prepare/image', '/attempt/prepare', '/attempt/start failed', '/attempt/create', '/attempt/run failed', '/attempt'])
  const text = await metrics.render()
  assert.match(text, /rgrid_node_step_seconds_count\{step="start",result="failed"\} 1/)
  assert.match(text, /rgrid_node_step_seconds_count\{step="create",result="ok"\} 1/)
})
