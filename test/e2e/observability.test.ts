import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import type { JobDetail } from '#core/api.ts'
import { type CollectedSpan, type Collector, startCollector } from '../harness/collector.ts'
import { runJob } from '../harness/job.ts'
import { documentedMetrics } from '../harness/metric-names.ts'
import { type Platform, startPlatform } from '../harness/platform.ts'
import { freePortRow } from '../harness/ports.ts'
import { scrape } from '../harness/scrape.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const PARENT = '00f067aa0ba902b7'
const PROCESSES = ['gateway', 'scheduler', 'node-runner'] as const
let collector: Collector
let platform: Platform
let port: number
let jobId: string

before(async () => {
  collector = await startCollector()
  port = await freePortRow(3)
  platform = await startPlatform({
    RGRID_METRICS_LISTEN: `127.0.0.1:${port}`,
    OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
    OTEL_BSP_SCHEDULE_DELAY: '50',
  })
  jobId = await runTraced()
})
after(async () => {
  await platform.stop()
  await collector.close()
})

/** Submits with the trace of a caller, and follows to the end. */
async function runTraced(): Promise<string> {
  const spec = { runtime: 'bash', command: ['sh', '-c', 'printenv TRACEPARENT TRACESTATE; echo x > out.txt'], files: { outputs: [{ path: 'out.txt' }] } }
  const submitted = await fetch(`${platform.apiUrl}/v1/projects/default/jobs`, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${platform.apiKey}`,
      'content-type': 'application/json',
      traceparent: `00-${TRACE}-${PARENT}-01`,
      tracestate: 'congo=t61rcWkgMzE',
    },
    body: JSON.stringify({ spec }),
  })
  assert.equal(submitted.status, 201, await submitted.clone().text())
  const { id } = (await submitted.json()) as { id: string }
  const events = await (await platform.api('GET', `/v1/jobs/${id}/logs?follow=true`)).text()
  assert.match(events, /event: end/)
  const job = (await (await platform.api('GET', `/v1/jobs/${id}`)).json()) as JobDetail
  assert.equal(job.state, 'succeeded', JSON.stringify(job))
  return id
}

test('one job is one trace: the request, its stay in the queue, and its attempt with the steps of it', async () => {
  const inTrace = (spans: CollectedSpan[]) => spans.filter((span) => span.traceId === TRACE)
  const spans = inTrace(
    await collector.spans((all) => ['POST /v1/projects/:slug/jobs', 'job queued', 'attempt'].every((name) => inTrace(all).some((span) => span.name === name))),
  )
  const one = (name: string) => {
    const found = spans.filter((span) => span.name === name)
    assert.equal(found.length, 1, `${name}: ${JSON.stringify(spans.map((span) => span.name))}`)
    return found[0] as CollectedSpan
  }
  const [request, queued, attempt] = [one('POST /v1/projects/:slug/jobs'), one('job queued'), one('attempt')]
  assert.deepEqual([request.service, queued.service, attempt.service], ['rgrid-gateway', 'rgrid-scheduler', 'rgrid-node-runner'])
  assert.deepEqual([request.parentId, queued.parentId, attempt.parentId], [PARENT, request.spanId, request.spanId])
  assert.deepEqual([queued.attributes['rgrid.job.id'], attempt.attributes['rgrid.job.id'], attempt.attributes['rgrid.attempt.cause']], [jobId, jobId, 'exit'])
  for (const [step, parent] of [
    ['prepare', attempt],
    ['inputs', one('prepare')],
    ['image', one('prepare')],
    ['run', attempt],
    ['start', one('run')],
    ['upload', attempt],
    ['archive', attempt],
  ] as const)
    assert.equal(one(step).parentId, parent.spanId, step)
  for (const span of spans) assert.deepEqual([span.failed, span.traceState], [false, 'congo=t61rcWkgMzE'], span.name)
  assert.ok(queued.startMs <= queued.endMs && queued.endMs <= one('run').startMs && one('run').endMs <= attempt.endMs)
  // The program in the job goes on behind the attempt.
  const log = await (await platform.api('GET', `/v1/jobs/${jobId}/logs`)).text()
  assert.equal(log, `00-${TRACE}-${attempt.spanId}-01\ncongo=t61rcWkgMzE\n`)
})

test('events of the job name the trace, as CloudEvents do', async () => {
  const since = new Date(Date.now() - 3_600_000).toISOString()
  const stop = new AbortController()
  const response = await fetch(`${platform.apiUrl}/v1/events?job=${jobId}&since=${since}`, {
    headers: { authorization: `Bearer ${platform.apiKey}` },
    signal: stop.signal,
  })
  let text = ''
  for await (const chunk of response.body as AsyncIterable<Uint8Array>) {
    text += Buffer.from(chunk).toString('utf8')
    if (text.includes('rgrid.job.succeeded')) break
  }
  stop.abort()
  const events = [...text.matchAll(/^data: (\{"specversion.*\})$/gm)].map((match) => JSON.parse(match[1] ?? ''))
  assert.ok(events.length >= 3)
  for (const event of events) {
    assert.match(event.traceparent, new RegExp(`^00-${TRACE}-[0-9a-f]{16}-01$`), event.type)
    assert.equal(event.tracestate, 'congo=t61rcWkgMzE')
  }
})

for (const [i, name] of PROCESSES.entries())
  test(`the ${name} has every metric that docs/METRICS.md says it has, with these labels, and no other`, async () => {
    const { text } = await scrape(`127.0.0.1:${port + i}`)
    const types = new Map([...text.matchAll(/^# TYPE (rgrid_\w+) (\w+)$/gm)].map((match) => [match[1], match[2]]))
    const documented = documentedMetrics().filter(({ processes }) => processes.includes(name))
    assert.deepEqual([...types.keys()].sort(), documented.map((metric) => metric.name).sort())
    for (const { name: metric, labels, type } of documented) {
      assert.equal(types.get(metric), type, metric)
      const series = [...text.matchAll(new RegExp(`^${metric}(?:_bucket|_sum|_count)?(?:\\{(.*)\\})? `, 'gm'))]
      for (const [, given = ''] of series) {
        const names = [...given.matchAll(/(\w+)="/g)].map((match) => match[1]).filter((label) => label !== 'le')
        assert.deepEqual(names.sort(), [...labels].sort(), metric)
      }
    }
    assert.match(text, /^process_resident_memory_bytes \d/m)
  })

test('what a job does is measured by all three', async () => {
  const [gateway, scheduler, node] = await Promise.all(PROCESSES.map((_, i) => scrape(`127.0.0.1:${port + i}`)))
  const above = (of: typeof gateway, ...series: string[]) => {
    for (const one of series) assert.ok((of?.value(one) ?? 0) > 0, `${one} is ${of?.value(one)}`)
  }
  above(gateway, 'rgrid_log_followed_batches_total', 'rgrid_log_followed_bytes_total')
  above(gateway, 'rgrid_stream_events_total{transport="sse",route="/v1/jobs/:id/logs"}', 'rgrid_trace_spans_total{result="exported"}')
  above(scheduler, 'rgrid_claim_seconds_count{result="jobs"}', 'rgrid_queue_wait_seconds_count', 'rgrid_attempt_start_seconds_count')
  above(scheduler, 'rgrid_nodes{pool="default",state="ready"}', 'rgrid_slots{pool="default",state="free"}', 'rgrid_events_relayed_total')
  above(node, 'rgrid_node_claim_seconds_count{result="jobs"}', 'rgrid_node_attempts_ended_total{cause="exit"}', 'rgrid_node_log_bytes_total')
  for (const step of ['prepare', 'create', 'run', 'start', 'upload']) above(node, `rgrid_node_step_seconds_count{step="${step}",result="ok"}`)
  above(node, 'rgrid_node_uploaded_objects_total{kind="output"}', 'rgrid_node_uploaded_bytes_total{kind="log"}', 'rgrid_node_disk_bytes{state="free"}')
})

test('packets of a job to addresses that it may not reach are counted', async () => {
  // Rejected by the rules, or left unanswered for a second: the job ends well in both cases.
  const { job } = await runJob(platform, {
    runtime: 'bash',
    network: true,
    command: ['bash', '-c', 'timeout 2 bash -c "</dev/tcp/169.254.169.254/80"; true'],
  })
  assert.equal(job.state, 'succeeded', JSON.stringify(job))
  const refused = (await scrape(`127.0.0.1:${port + 2}`)).value('rgrid_node_egress_refused_packets_total')
  assert.ok((refused ?? 0) > 0, String(refused))
})

test('no process logged a field that it may not', () => {
  for (const name of PROCESSES) {
    const lines = readFileSync(join(platform.stateDir, 'logs', `${name}.log`), 'utf8')
      .trim()
      .split('\n')
    assert.ok(lines.length > 1)
    for (const line of lines) assert.doesNotMatch(line, /"dropped":\[/)
    // Whichever log one looks at, the trace finds the job.
    assert.ok(
      lines.some((line) => line.includes(`"traceId":"${TRACE}"`)),
      name,
    )
  }
})
