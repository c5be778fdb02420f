import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Type } from '@sinclair/typebox'
import { sql } from 'slonik'
import { readConfig } from '#core/service/config.ts'
import { createLog } from '#core/service/log.ts'
import { createMetrics } from '#core/service/metrics.ts'
import { monotonicMs } from '#core/service/time.ts'
import { NO_TRACER, openTracing, TracingEnv } from '#core/service/trace.ts'
import { row } from '#store/row.ts'
import { type Collector, startCollector } from '../../harness/collector.ts'
import { startGateway, type TestGateway } from '../../harness/gateway.ts'
import { readMetrics } from '../../harness/scrape.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = `00-${TRACE}-00f067aa0ba902b7-01`
const SPEC = { spec: { runtime: 'bash', command: ['true'] } }
const log = createLog('test', 'silent')
let gateway: TestGateway
/** What the gateway under test makes spans with. */
let tracer = NO_TRACER

before(async () => {
  gateway = await startGateway({ tracer: { span: (name, options) => tracer.span(name, options) } })
})
after(() => gateway.stop())

function tracing(collector: Collector, more: Record<string, string> = {}) {
  const metrics = createMetrics()
  const env = readConfig(Type.Object(TracingEnv), { OTEL_EXPORTER_OTLP_ENDPOINT: collector.url, OTEL_BSP_SCHEDULE_DELAY: '10', ...more })
  return openTracing('gateway', env, metrics, log).then((opened) => ({ ...opened, metrics }))
}

async function submit(headers: Record<string, string> = {}): Promise<{ id: string; stored: string | null }> {
  const answer = await gateway.call('POST', '/v1/projects/default/jobs', SPEC, headers)
  assert.equal(answer.statusCode, 201, answer.body)
  const { id } = answer.json<{ id: string }>()
  const TraceRow = row(Type.Object({ trace_context: Type.Union([Type.String(), Type.Null()]) }))
  return { id, stored: await gateway.admin.oneFirst(sql.type(TraceRow)`select trace_context from jobs where id = ${id}`) }
}

test('without a collector the trace of the caller goes on as it came, and into the log', async () => {
  assert.equal((await submit({ traceparent: PARENT, tracestate: 'congo=t61rcWkgMzE' })).stored, `${PARENT} congo=t61rcWkgMzE`)
  assert.ok(gateway.logged.some((line) => line.includes(`"traceId":"${TRACE}"`) && line.includes('"msg":"request"')))
  assert.equal((await submit()).stored, null)
  assert.equal((await submit({ traceparent: `${PARENT}-x`, tracestate: 'a=1' })).stored, null)
  const batch = { template: SPEC.spec, items: [{}, {}] }
  const answer = await gateway.call('POST', '/v1/projects/default/batches', batch, { traceparent: PARENT })
  assert.equal(answer.statusCode, 201, answer.body)
  const { id } = answer.json<{ id: string }>()
  assert.deepEqual(await gateway.admin.anyFirst(sql.unsafe`select trace_context from jobs where batch_id = ${id}`), [PARENT, PARENT])
})

test('with a collector a request is a span in the trace of the caller, and the job belongs to it', async (t) => {
  const collector = await startCollector()
  const opened = await tracing(collector)
  tracer = opened.tracer
  t.after(async () => {
    tracer = NO_TRACER
    await opened.stop()
    await collector.close()
  })
  const { stored } = await submit({ traceparent: PARENT, tracestate: 'congo=t61rcWkgMzE' })
  const own = await submit()
  await gateway.call('GET', '/v1/jobs/job_none')
  await gateway.call('GET', '/healthz')
  const spans = await collector.spans((all) => all.length >= 3)
  assert.equal(spans.length, 3)
  // Whatever the order in which they were sent.
  const [taken, begun, missed] = spans.toSorted((a, b) => a.startMs - b.startMs) as [(typeof spans)[0], (typeof spans)[0], (typeof spans)[0]]
  assert.deepEqual([taken.service, taken.name, taken.kind, taken.failed], ['rgrid-gateway', 'POST /v1/projects/:slug/jobs', 2, false])
  assert.deepEqual([taken.traceId, taken.parentId, taken.traceState], [TRACE, '00f067aa0ba902b7', 'congo=t61rcWkgMzE'])
  assert.equal(stored, `00-${TRACE}-${taken.spanId}-01 congo=t61rcWkgMzE`)
  assert.equal(own.stored, `00-${begun.traceId}-${begun.spanId}-01`)
  assert.deepEqual([begun.parentId, begun.attributes['http.response.status_code']], ['', 201])
  assert.deepEqual([missed.name, missed.attributes['http.response.status_code'], missed.failed], ['GET /v1/jobs/:id', 404, false])
  // The address of what was asked for is in no span.
  assert.doesNotMatch(JSON.stringify(spans), /job_none/)
  await opened.stop()
  assert.equal(readMetrics(await opened.metrics.render()).value('rgrid_trace_spans_total{result="exported"}'), 3)
})

test('a trace that its caller does not sample is not sent, and goes on unsampled', async (t) => {
  const collector = await startCollector()
  const opened = await tracing(collector)
  tracer = opened.tracer
  t.after(async () => {
    tracer = NO_TRACER
    await collector.close()
  })
  const { stored } = await submit({ traceparent: PARENT.replace(/01$/, '00') })
  assert.match(stored ?? '', new RegExp(`^00-${TRACE}-[0-9a-f]{16}-00$`))
  await opened.stop()
  assert.equal(collector.requests(), 0)
})

test('who samples is for the operator to say', async (t) => {
  const collector = await startCollector()
  const opened = await tracing(collector, { OTEL_TRACES_SAMPLER: 'traceidratio', OTEL_TRACES_SAMPLER_ARG: '0' })
  t.after(() => collector.close())
  opened.tracer.span('x', { parent: { traceparent: PARENT, tracestate: null } }).end()
  await opened.stop()
  assert.equal(collector.requests(), 0)
})

for (const mode of ['hang', 'refuse'] as const)
  test(`a collector that ${mode === 'hang' ? 'never answers' : 'says no'} slows and stops nothing`, async (t) => {
    const collector = await startCollector(mode)
    const opened = await tracing(collector)
    t.after(async () => {
      tracer = NO_TRACER
      await collector.close()
    })
    tracer = opened.tracer
    await Promise.all([collector.asked(), submit()])
    const before = process.memoryUsage().heapUsed
    const startedMs = monotonicMs()
    // Far more than may wait: the rest is dropped, at once.
    for (let i = 0; i < 50_000; i++) opened.tracer.span('much').end()
    assert.ok(monotonicMs() - startedMs < 20_000)
    assert.ok(process.memoryUsage().heapUsed - before < 100 * 2 ** 20)
    assert.ok((await submit()).id)
    const stoppedMs = monotonicMs()
    await opened.stop()
    // Sending one may take 10 s.
    assert.ok(monotonicMs() - stoppedMs < 8000, 'the process does not stay for its traces')
  })
